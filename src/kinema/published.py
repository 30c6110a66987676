"""Published checkpoints and ours: one rule table per source, read in both directions.

A rule table is a function from our parameter names to the source's. Converting is strict: every
tensor of either side must find its partner, or be one that the table declares to have none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from .layers.mobilenet import STAGES, MobileNetV2
from .layers.shift import CausalShift, TemporalShift
from .layers.weights import adapt_stem, inflate
from .models import VideoModel, create_model
from .registry import suggest

Rename = Callable[[VideoModel, str], str | None]


@dataclass(frozen=True)
class Source:
    """Where checkpoints come from and how their tensors are called.

    Attributes:
        rename: our name -> theirs; None: they have no such tensor, ours keeps its initial value.
        aliases: (pattern, replacement) on their names before matching, for spellings that changed
            over time.
        heads: their names of the classifier's weight, which tells the number of classes.
        images: weights of an image network: kernels are inflated and the stem is adapted where
            shapes ask for it.
        export: adapts a copy of our state before it is renamed.
    """

    rename: Rename
    heads: tuple[str, ...]
    aliases: tuple[tuple[str, str], ...] = ()
    images: bool = False
    export: Callable[[dict[str, Tensor]], dict[str, Tensor]] = lambda state: state


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
        state_dict_or_path: a checkpoint file, or the tensors of one.
        source: the repository the weights were released with, see `SOURCES`.
        model: see `list_models`.
        num_classes: None: as many as the checkpoint has.
        overrides: see `create_model`.

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
    if num_classes is None:
        heads = [state[key] for key in table.heads if key in state]
        if not heads:
            raise ValueError(
                f"the checkpoint has no {' or '.join(table.heads)}, so it is not one of {source}, "
                "or its number of classes must be given as num_classes"
            )
        num_classes = len(heads[0])
    built = create_model(model, num_classes=num_classes, **overrides)  # type: ignore[arg-type]
    _fill(built, state, table, source)
    return built.eval()


def export_state_dict(model: VideoModel, *, source: str) -> dict[str, Tensor]:
    """The inverse of `convert`: the model's tensors under the source's names."""
    table = _table(source)
    state = {key: x.detach().clone() for key, x in model.state_dict().items()}
    named = ((table.rename(model, key), x) for key, x in table.export(state).items())
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
        if value.shape != x.shape:
            problems.append(f"shape      {theirs} {tuple(value.shape)}, {key} {tuple(x.shape)}")
        filled[key] = value
    problems += [f"left over  {key}" for key in state if key not in used]
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


# ---------------------------------------------------------------- reading


class _Inert:
    """Stands in for training records that checkpoints carry beside their weights; never used."""

    def __init__(self, *args: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


# Globals that checkpoints of mmengine refer to. None of them runs: each name is bound to `_Inert`.
_RECORDS = (
    "mmengine.logging.history_buffer.HistoryBuffer",
    "mmengine.logging.message_hub.MessageHub",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.ndarray",
    "numpy.dtype",
    "numpy.dtypes.Float64DType",
    "_codecs.encode",
)


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint file, without wrappers; code in the file is never run.

    Args:
        path: a `.safetensors` file or a torch file; the tensors may lie under `state_dict`,
            `model_state` or `model`.

    Raises:
        FileNotFoundError: where there is no file.
        ValueError: for a file that needs code to load, or that holds no tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    if path.suffix == ".safetensors":
        return strip_wrappers(load_file(path))
    try:
        with torch.serialization.safe_globals([(_Inert, name) for name in _RECORDS]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises several kinds, all of them meaning "not a plain file"
        raise ValueError(
            f"{path} does not load as plain weights: {str(error).splitlines()[0]}"
        ) from error
    return strip_wrappers(content)


def strip_wrappers(content: object) -> dict[str, Tensor]:
    """The name -> tensor mapping inside what a file held; the prefix `module.` goes."""
    while isinstance(content, Mapping):
        inner = [
            k for k in ("state_dict", "model_state", "model") if isinstance(content.get(k), Mapping)
        ]
        if not inner:
            break
        content = content[inner[0]]
    if not isinstance(content, Mapping) or not any(isinstance(x, Tensor) for x in content.values()):
        raise ValueError("the checkpoint holds no named tensors")
    return {
        str(key).removeprefix("module."): x for key, x in content.items() if isinstance(x, Tensor)
    }


# ---------------------------------------------------------------- rule tables

_BLOCK = re.compile(r"backbone\.(layer\d+)\.(\d+)\.(.+)")
_FEATURE = re.compile(r"backbone\.features\.(\d+)\.(.+)")


def _official_tsm(model: VideoModel, key: str) -> str:
    """mit-han-lab/temporal-shift-module: a shifted convolution lies one level deeper, in `net`."""
    if any(isinstance(part, CausalShift) for part in model.modules()):
        # The online network was released on its own, without wrappers.
        return key.removeprefix("backbone.").replace("head.fc.", "classifier.")
    if key.startswith("head.fc."):
        return key.replace("head.fc.", "new_fc.")
    if block := _BLOCK.fullmatch(key):
        inner = {
            "after.theta": "nl.theta", "after.g": "nl.g.0", "after.phi": "nl.phi.0",
            "after.out": "nl.W.0", "after.bn": "nl.W.1",
        }  # fmt: skip
        return "base_model." + _wrapped_block(model, block, inner, shifted="conv1.net")
    if (feature := _FEATURE.fullmatch(key)) and _shifted(model, f"features.{feature[1]}"):
        rest = feature[2].replace("conv.0.", "conv.0.net.", 1)
        return f"base_model.features.{feature[1]}.{rest}"
    return key.replace("backbone.", "base_model.", 1)


def _mmaction2(model: VideoModel, key: str) -> str | None:
    """open-mmlab/mmaction2: a layer's convolution and norm are `conv` and `bn` of one module."""
    if key.startswith("head.fc."):
        return key.replace("head.fc.", "cls_head.fc_cls.")
    if block := _BLOCK.fullmatch(key):
        if block[3] == "after.out.bias":
            return None  # their output convolution has none; the norm behind it takes its place
        inner = {
            "after.theta": "non_local_block.theta.conv", "after.g": "non_local_block.g.0.conv",
            "after.phi": "non_local_block.phi.0.conv", "after.out": "non_local_block.conv_out.conv",
            "after.bn": "non_local_block.conv_out.bn",
            "downsample.0": "downsample.conv", "downsample.1": "downsample.bn",
            "conv1": "conv1.conv", "conv2": "conv2.conv", "conv3": "conv3.conv",
            "bn1": "conv1.bn", "bn2": "conv2.bn", "bn3": "conv3.bn",
        }  # fmt: skip
        return "backbone." + _wrapped_block(model, block, inner, shifted="conv1.conv.net")
    if feature := _FEATURE.fullmatch(key):
        return "backbone." + _mmaction2_mobilenet(model, int(feature[1]), feature[2])
    return key.replace("conv1.", "conv1.conv.").replace("bn1.", "conv1.bn.")


def _wrapped_block(
    model: VideoModel, block: re.Match[str], inner: Mapping[str, str], *, shifted: str
) -> str:
    """A block's parameter inside the wrappers that shift, pooling and attention put around it."""
    stage, index, rest = block.groups()
    site = f"{stage}.{index}"
    module, _, parameter = rest.rpartition(".")
    name = inner.get(module, module)
    own = not module.startswith("after.")
    if own and module == "conv1" and _shifted(model, site):
        name = shifted
    if own and isinstance(model.get_submodule(f"backbone.{site}.before"), TemporalShift):
        name = f"net.{name}"
    if own and any(key.startswith("after.") for key in _names(model, site)):
        name = f"block.{name}"
    pooled = f"backbone.before_stage.{stage}" in dict(model.named_modules())
    return f"{stage}.net.{index}.{name}.{parameter}" if pooled else f"{site}.{name}.{parameter}"


def _names(model: VideoModel, site: str) -> list[str]:
    return [name for name, _ in model.get_submodule(f"backbone.{site}").named_parameters()]


def _shifted(model: VideoModel, site: str) -> bool:
    block = model.get_submodule(f"backbone.{site}")
    return isinstance(getattr(block, "temporal", None), TemporalShift)


def _mmaction2_mobilenet(model: VideoModel, index: int, rest: str) -> str:
    first, *_, parameter = rest.split(".")
    if first != "conv":  # the stem and the last 1x1: features.I.{0: convolution, 1: norm}
        name = "conv1" if index == 0 else "conv2"
        return f"{name}.{'conv' if first == '0' else 'bn'}.{parameter}"
    stage, place = _mobilenet_place(index)
    layer, is_norm = divmod(int(rest.split(".")[1]), 3)  # convolution, norm, activation, ...
    shift = ".net" if layer == 0 and _shifted(model, f"features.{index}") else ""
    part = "bn" if is_norm else "conv"
    return f"layer{stage}.{place}.conv.{layer}{shift}.{part}.{parameter}"


def _mobilenet_place(index: int) -> tuple[int, int]:
    """Stage from 1 and position in it of `features.<index>`."""
    index -= 1
    for stage, (_, _, repeats, _) in enumerate(STAGES, start=1):
        if index < repeats:
            return stage, index
        index -= repeats
    raise IndexError(index)


def _fold_non_local_bias(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A bias in front of a norm is the same as a mean that is smaller by it."""
    for key in [key for key in state if key.endswith("after.out.bias")]:
        mean = key.replace("out.bias", "bn.running_mean")
        state[mean] = state[mean] - state.pop(key)
    return state


def _torchvision(model: VideoModel, key: str) -> str | None:
    """pytorch/vision: our names; what an image network does not have keeps its initial value."""
    if re.search(r"\.(temporal|before|after|before_stage)\.", key):
        return None
    if not isinstance(model.backbone, MobileNetV2):
        return key.removeprefix("backbone.").replace("head.fc.", "fc.")
    if key.startswith("head.fc."):
        return key.replace("head.fc.", "classifier.1.")
    found = re.fullmatch(r"backbone\.features\.(\d+)\.conv\.(\d+)\.(.+)", key)
    if found is None:
        return key.removeprefix("backbone.")
    layer, is_norm = divmod(int(found[2]), 3)
    last = (
        1 if found[1] == "1" else 2
    )  # the projection is not wrapped, and the first block has no expansion
    place = f"{layer + is_norm}" if layer == last else f"{layer}.{is_norm}"
    return f"features.{found[1]}.conv.{place}.{found[3]}"


SOURCES: Mapping[str, Source] = {
    "mit-han-lab/temporal-shift-module": Source(
        rename=_official_tsm,
        heads=("new_fc.weight", "classifier.weight"),
        aliases=((r"^base_model\.(fc|classifier)\.", "new_fc."),),
    ),
    "open-mmlab/mmaction2": Source(
        rename=_mmaction2, heads=("cls_head.fc_cls.weight",), export=_fold_non_local_bias
    ),
    "pytorch/vision": Source(
        rename=_torchvision, heads=("fc.weight", "classifier.1.weight"), images=True
    ),
}
