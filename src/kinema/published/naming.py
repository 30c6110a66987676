"""What several projects have in common: wrappers around blocks, kernels stored as 3D ones."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn

from ..layers.layout import FrameConv
from ..layers.shift import TemporalShift
from ..models import VideoModel

BLOCK = re.compile(r"backbone\.(layer\d+)\.(\d+)\.(.+)")
FEATURE = re.compile(r"backbone\.features\.(\d+)\.(.+)")


def wrapped_block(
    model: VideoModel, block: re.Match[str], inner: Mapping[str, str], *, shifted: str
) -> str:
    """A block's parameter inside the wrappers that shift, pooling and attention put around it."""
    stage, index, rest = block.groups()
    site = f"{stage}.{index}"
    module, _, parameter = rest.rpartition(".")
    name = inner.get(module, module)
    own = not module.startswith("after.")
    if own and module == "conv1" and shifted_at(model, site):
        name = shifted
    if own and isinstance(model.get_submodule(f"backbone.{site}.before"), TemporalShift):
        name = f"net.{name}"
    if own and any(key.startswith("after.") for key in _names(model, site)):
        name = f"block.{name}"
    pooled = f"backbone.before_stage.{stage}" in dict(model.named_modules())
    return f"{stage}.net.{index}.{name}.{parameter}" if pooled else f"{site}.{name}.{parameter}"


def _names(model: VideoModel, site: str) -> list[str]:
    return [name for name, _ in model.get_submodule(f"backbone.{site}").named_parameters()]


def shifted_at(model: VideoModel, site: str) -> bool:
    """Whether the residual branch of a block begins with a shift."""
    block = model.get_submodule(f"backbone.{site}")
    return isinstance(getattr(block, "temporal", None), TemporalShift)


def as_volumes(model: VideoModel, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Kernels over one frame as 3D projects store them: (O, I, kH, kW) -> (O, I, 1, kH, kW).

    All of a neck, and all of a backbone that has any convolution along time.
    """
    for name, part in model.named_children():
        if not any(isinstance(inner, nn.Conv3d) for inner in part.modules()):
            continue
        for path, inner in part.named_modules():
            if isinstance(inner, FrameConv):
                key = f"{name}.{path}.weight"
                state[key] = state[key].unsqueeze(2)
    return state


def neck_name(key: str, names: Mapping[str, str]) -> str:
    """A neck's parameter: numbers stand for themselves in pattern and name.

    Args:
        key: ours, such as `neck.temporal.0.weight`.
        names: our module, with `#` for each number -> theirs, with the same.
    """
    module, _, parameter = key.rpartition(".")
    numbers = re.findall(r"(?<=\.)\d+(?=\.|$)", module)
    theirs = names.get(re.sub(r"(?<=\.)\d+(?=\.|$)", "#", module), module)
    for number in numbers:
        theirs = theirs.replace("#", number, 1)
    return f"{theirs}.{parameter}"
