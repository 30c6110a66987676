"""Names of facebookresearch/SlowFast: the slow path alone, and both paths."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from ..models import VideoModel
from ..types import JSON
from .naming import as_volumes
from .source import Source

_BLOCK = re.compile(r"backbone\.(?:(slow|fast)\.)?layer(\d)\.(\d+)\.(.+)\.(\w+)")
_STEM = re.compile(r"backbone\.(?:(slow|fast)\.)?(conv|bn)1\.(\w+)")
_LATERAL = re.compile(r"backbone\.lateral\.layer(\d)\.(conv|bn)\.(\w+)")
_PATHWAYS = {None: 0, "slow": 0, "fast": 1}
_PARTS = {
    "conv1": "branch2.a", "conv2": "branch2.b", "conv3": "branch2.c", "downsample.0": "branch1",
    "bn1": "branch2.a_bn", "bn2": "branch2.b_bn", "bn3": "branch2.c_bn",
    "downsample.1": "branch1_bn",
}  # fmt: skip


def _official_slowfast(model: VideoModel, key: str) -> str:
    """Stages are s1 (the stem) to s5, what joins the paths behind s<k> is s<k>_fuse."""
    if block := _BLOCK.fullmatch(key):
        path, stage, index, part, tensor = block.groups()
        name = f"pathway{_PATHWAYS[path]}_res{index}.{_PARTS.get(part, part)}.{tensor}"
        return f"s{int(stage) + 1}.{name}"
    if stem := _STEM.fullmatch(key):
        return f"s1.pathway{_PATHWAYS[stem[1]]}_stem.{stem[2]}.{stem[3]}"
    if lateral := _LATERAL.fullmatch(key):
        part = "conv_f2s" if lateral[2] == "conv" else "bn"
        return f"s{lateral[1]}_fuse.{part}.{lateral[3]}"
    return key.replace("head.fc.", "head.projection.")


def slowfast_options(lateral: Tensor | None) -> dict[str, JSON]:
    """What a lateral convolution's weight tells, of shape (2 C, C, k, 1, 1).

    A kernel of 7 is that of "8x8", whose slow path sees every fourth frame. Other kernels do not
    tell `alpha`.
    """
    options: dict[str, JSON] = {}
    if lateral is not None:
        options["fusion_kernel"] = lateral.shape[2]
        if lateral.shape[2] == 7:
            options["alpha"] = 4
    return options


def _options(name: str, state: Mapping[str, Tensor]) -> dict[str, JSON]:
    if not name.startswith("slowfast_"):
        return {}
    options = slowfast_options(state.get("s1_fuse.conv_f2s.weight"))
    options |= {"slow_frames": "spread", "lateral_norm": True}
    return options


SLOWFAST_AUTHORS = Source(
    rename=_official_slowfast,
    heads=("head.projection.weight",),
    options=_options,
    export=as_volumes,
)
