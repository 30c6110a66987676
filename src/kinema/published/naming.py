"""Where a block's parameters lie inside the wrappers that the projects put around it."""

from __future__ import annotations

import re
from collections.abc import Mapping

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
