"""Published checkpoints and ours: one rule table per source, read in both directions.

A rule table is a function from our parameter names to the source's. Converting is strict: every
tensor of either side must find its partner, or be one that the table declares to have none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from ..layers.weights import adapt_stem, inflate
from ..models import VideoModel, create_model
from ..registry import suggest
from .ibm import ACTION_RECOGNITION, BIG_LITTLE, BLVNET_TAM
from .mmaction2 import MMACTION2
from .p3d import CAFFE, PORT
from .paddle import PADDLE
from .reading import read_checkpoint, strip_wrappers
from .slowfast_authors import SLOWFAST_AUTHORS
from .source import Source
from .torchvision import TORCHVISION
from .tpn_authors import TPN_AUTHORS
from .tsm_authors import TSM_AUTHORS

SOURCES: Mapping[str, Source] = {
    "IBM/BigLittleNet": BIG_LITTLE,
    "IBM/action-recognition-pytorch": ACTION_RECOGNITION,
    "IBM/bLVNet-TAM": BLVNET_TAM,
    "PaddlePaddle/models": PADDLE,
    "ZhaofanQiu/pseudo-3d-residual-networks": CAFFE,
    "decisionforce/TPN": TPN_AUTHORS,
    "facebookresearch/SlowFast": SLOWFAST_AUTHORS,
    "mit-han-lab/temporal-shift-module": TSM_AUTHORS,
    "open-mmlab/mmaction2": MMACTION2,
    "pytorch/vision": TORCHVISION,
    "qijiezhao/pseudo-3d-pytorch": PORT,
}


def convert(
    state_dict_or_path: Mapping[str, Tensor] | str | Path,
    *,
    source: str,
    model: str,
    num_classes: int | None = None,
    **overrides: object,  # handed on to create_model, which checks them
) -> VideoModel:
    """Builds `model` and fills it with published weights.

    Args:
        state_dict_or_path: a checkpoint file (a folder where one variable is one file), or the
            tensors of one.
        source: the repository the weights were released with, see `SOURCES`.
        model: see `list_models`.
        num_classes: None: as many as the checkpoint has.
        overrides: see `create_model`. Options that a source's weights need and their names do not
            tell, such as where TPN's authors shift, are set where they are not given; the model's
            spec has them.

    Raises:
        ValueError: listing every tensor of either side that has no partner or another shape.
    """
    table = _table(source)
    state = (
        read_checkpoint(state_dict_or_path)
        if isinstance(state_dict_or_path, str | Path)
        else strip_wrappers(state_dict_or_path)
    )
    for pattern, replacement in table.aliases:
        state = {re.sub(pattern, replacement, key): x for key, x in state.items()}
    state = table.adapt(state)
    if num_classes is None:
        heads = [state[key] for key in table.heads if key in state]
        if not heads:
            raise ValueError(
                f"the checkpoint has no {' or '.join(table.heads)}, so it is not one of {source}, "
                "or its number of classes must be given as num_classes"
            )
        num_classes = len(heads[0])
    options = {**table.options(model, state), **overrides}
    built = create_model(model, num_classes=num_classes, **options)  # type: ignore[arg-type]
    _fill(built, state, table, source)
    built.spec = replace(built.spec, input=table.input(built.spec.input))
    return built.eval()


def export_state_dict(model: VideoModel, *, source: str) -> dict[str, Tensor]:
    """The inverse of `convert`: the model's tensors under the source's names."""
    table = _table(source)
    state = {key: x.detach().clone() for key, x in model.state_dict().items()}
    named = ((table.rename(model, key), x) for key, x in table.export(model, state).items())
    return {theirs: x for theirs, x in named if theirs is not None}


def _table(source: str) -> Source:
    if source not in SOURCES:
        raise ValueError(
            f"source={source!r} is not known{suggest(source, SOURCES)}; known: {', '.join(SOURCES)}"
        )
    return SOURCES[source]


def _fill(model: VideoModel, state: Mapping[str, Tensor], table: Source, source: str) -> None:
    own = model.state_dict()
    filled: dict[str, Tensor] = {}
    problems: list[str] = []
    used: set[str] = set()
    for key, x in own.items():
        theirs = table.rename(model, key)
        if theirs is None:
            continue
        if theirs not in state:
            # Checkpoints from before torch 0.4.1 have no counters; they play no part in the
            # arithmetic.
            if not key.endswith("num_batches_tracked"):
                problems.append(f"missing    {theirs} (for {key})")
            continue
        used.add(theirs)
        value = state[theirs]
        if table.images and value.ndim >= 4:
            value = inflate(
                adapt_stem(value, x.shape[1]) if _is_stem(model, key) else value, x.shape
            )
        if value.ndim == x.ndim + 1 == 5 and value.shape[2] == 1:
            value = value.squeeze(2)  # a kernel over one frame, as 3D projects store it
        if value.shape != x.shape:
            problems.append(f"shape      {theirs} {tuple(value.shape)}, {key} {tuple(x.shape)}")
        filled[key] = value
    left = [key for key in state if key not in used and not table.spare(model, key)]
    problems += [f"left over  {key}" for key in left]
    if problems:
        raise ValueError(
            f"the checkpoint does not fit {model.spec.name} as released by {source} "
            f"({len(problems)} tensors):\n  " + "\n  ".join(problems)
        )
    model.load_state_dict(own | filled)


def _is_stem(model: VideoModel, key: str) -> bool:
    """Whether a weight belongs to the first convolution, which sees the input's channels."""
    for name, part in model.named_modules():
        if isinstance(part, nn.Conv2d | nn.Conv3d):
            return key == f"{name}.weight"
    return False
