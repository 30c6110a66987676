"""Names of open-mmlab/mmaction2."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from ..layers.mobilenet import STAGES
from ..models import VideoModel
from ..types import JSON
from .naming import BLOCK, FEATURE, as_volumes, neck_name, shifted_at, wrapped_block
from .slowfast_authors import slowfast_options
from .source import Source

_LAYERS = {
    "downsample.0": "downsample.conv", "downsample.1": "downsample.bn",
    "conv1": "conv1.conv", "conv2": "conv2.conv", "conv3": "conv3.conv",
    "bn1": "conv1.bn", "bn2": "conv2.bn", "bn3": "conv3.bn",
}  # fmt: skip
_LAYER = re.compile("|".join(map(re.escape, _LAYERS)))
_TWO_PATHS = ("backbone.slow.", "backbone.fast.", "backbone.lateral.")


def _mmaction2(model: VideoModel, key: str) -> str | None:
    """open-mmlab/mmaction2: a layer's convolution and norm are `conv` and `bn` of one module."""
    if key.startswith("head.fc."):
        return key.replace("head.fc.", "cls_head.fc_cls.")
    if key.startswith("neck."):
        return neck_name(key, _NECK)
    if block := BLOCK.fullmatch(key):
        if block[3] == "after.out.bias":
            return None  # their output convolution has none; the norm behind it takes its place
        inner = {
            "after.theta": "non_local_block.theta.conv", "after.g": "non_local_block.g.0.conv",
            "after.phi": "non_local_block.phi.0.conv", "after.out": "non_local_block.conv_out.conv",
            "after.bn": "non_local_block.conv_out.bn", **_LAYERS,
        }  # fmt: skip
        return "backbone." + wrapped_block(model, block, inner, shifted="conv1.conv.net")
    if feature := FEATURE.fullmatch(key):
        return "backbone." + _mmaction2_mobilenet(model, int(feature[1]), feature[2])
    if key.startswith(_TWO_PATHS):
        return _two_paths(key)
    return key.replace("conv1.", "conv1.conv.").replace("bn1.", "conv1.bn.")


def _two_paths(key: str) -> str:
    """SlowFast: what joins the paths is the slow one's, named after the layer it stands behind."""
    _, path, rest = key.split(".", 2)
    if path != "lateral":
        return f"backbone.{path}_path." + _LAYER.sub(lambda part: _LAYERS[part[0]], rest)
    stage, rest = rest.split(".", 1)
    behind = "conv1" if stage == "layer1" else f"layer{int(stage[-1]) - 1}"
    return f"backbone.slow_path.{behind}_lateral.{rest}"


def _mmaction2_mobilenet(model: VideoModel, index: int, rest: str) -> str:
    first, *_, parameter = rest.split(".")
    if first != "conv":  # the stem and the last 1x1: features.I.{0: convolution, 1: norm}
        name = "conv1" if index == 0 else "conv2"
        return f"{name}.{'conv' if first == '0' else 'bn'}.{parameter}"
    stage, place = _mobilenet_place(index)
    layer, is_norm = divmod(int(rest.split(".")[1]), 3)  # convolution, norm, activation, ...
    shift = ".net" if layer == 0 and shifted_at(model, f"features.{index}") else ""
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


def _export(model: VideoModel, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A bias in front of a norm is the same as a mean that is smaller by it."""
    for key in [key for key in state if key.endswith("after.out.bias")]:
        mean = key.replace("out.bias", "bn.running_mean")
        state[mean] = state[mean] - state.pop(key)
    return as_volumes(model, state)


def _spare(model: VideoModel, key: str) -> bool:
    """TPN's auxiliary head, and the convolution that its fully-convolutional test makes."""
    return model.neck is not None and key.startswith(("neck.aux_head.", "cls_head.new_cls."))


# Their first level fusion ends the top-down flow, the second the bottom-up flow.
_NECK = {
    "neck.spatial.#.#.conv": "neck.spatial_modulation.spatial_modulation.#.#.conv",
    "neck.spatial.#.#.bn": "neck.spatial_modulation.spatial_modulation.#.#.bn",
    "neck.temporal.#": "neck.temporal_modulation_ops.#.conv.conv",
    "neck.bottom_up.#": "neck.downsample_ops.#.conv.conv",
    "neck.fusion.conv": "neck.pyramid_fusion.conv",
    "neck.fusion.bn": "neck.pyramid_fusion.bn",
} | {
    f"neck.fusions.{flow}.{ours}": f"neck.level_fusion_{number}.{theirs}"
    for flow, number in (("top_down", 1), ("bottom_up", 2))
    for ours, theirs in (
        ("levels.#.conv", "downsamples.#.conv.conv"),
        ("levels.#.bn", "downsamples.#.conv.bn"),
        ("mix.conv", "fusion_conv.conv"),
        ("mix.bn", "fusion_conv.bn"),
    )
}


def _options(name: str, state: Mapping[str, Tensor]) -> dict[str, JSON]:
    """Where the shift stands, in which order the flows run, how two paths are joined."""
    options: dict[str, JSON] = {}
    if name.startswith("tpn_"):
        options["flow"] = "cascade"
    if name.startswith("tpn_tsm"):
        options["place"] = "residual"
    if name.startswith("slowfast_"):
        lateral = "backbone.slow_path.conv1_lateral"
        options |= slowfast_options(state.get(f"{lateral}.conv.weight"))
        options |= {"slow_frames": "every", "lateral_norm": f"{lateral}.bn.weight" in state}
    return options


MMACTION2 = Source(
    rename=_mmaction2,
    heads=("cls_head.fc_cls.weight",),
    options=_options,
    spare=_spare,
    export=_export,
)
