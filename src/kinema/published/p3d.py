"""Names of qijiezhao/pseudo-3d-pytorch and of the authors' Caffe release of P3D."""

from __future__ import annotations

import re
from dataclasses import replace

from torch import Tensor

from ..models import VideoModel
from ..types import InputSpec
from .naming import as_volumes
from .source import Source

_SITE = re.compile(r"backbone\.layer(\d)\.(\d+)\.(.+)\.(\w+)")
_STEM = re.compile(r"backbone\.(conv1|bn1)\.(\w+)")
_NORM_BLOBS = {"weight": 0, "bias": 1, "running_mean": 2, "running_var": 3}
_BRANCHES = {
    "conv1": "branch2a", "conv2": "branch2b", "conv3": "branch2b_t", "conv4": "branch2c",
    "bn1": "branch2a", "bn2": "branch2b", "bn3": "branch2b_t", "bn4": "branch2c",
    "downsample.0": "branch1", "downsample.1": "branch1",
}  # fmt: skip
_HEADS = ("fc_kinetics", "fc_sports1m")
# What the authors' network takes: blue, green and red from 0 to 255, minus these.
_CAFFE_MEAN = {"rgb": (123.0, 117.0, 104.0), "flow": (128.0,)}


def _port(model: VideoModel, key: str) -> str:
    """qijiezhao/pseudo-3d-pytorch: the stem and the 2D stage have names of their own."""
    key = key.removeprefix("backbone.").removeprefix("head.")
    if key.startswith("conv1."):
        return key.replace("conv1.", "conv1_custom.", 1)
    if key.startswith("layer4."):
        return key.replace(".conv2.", ".conv_normal.").replace(".bn2.", ".bn_normal.")
    return key


def _caffe(model: VideoModel, key: str) -> str | None:
    """The layer and the number of its blob; blocks are a, b, c, or a, b1, b2, ... if many."""
    if key.endswith("num_batches_tracked"):
        return None
    if key.startswith("head.fc."):
        return f"fc.{int(key.endswith('bias'))}"
    if stem := _STEM.fullmatch(key):
        return "conv1.0" if stem[1] == "conv1" else f"bn_conv1.{_NORM_BLOBS[stem[2]]}"
    site = _SITE.fullmatch(key)
    assert site is not None, key
    stage, index, part, tensor = int(site[1]), int(site[2]), site[3], site[4]
    name = f"{stage + 1}{_block(model, stage, index)}_{_BRANCHES[part]}"
    norm = part.startswith("bn") or part == "downsample.1"
    return f"bn{name}.{_NORM_BLOBS[tensor]}" if norm else f"res{name}.0"


def _block(model: VideoModel, stage: int, index: int) -> str:
    """Letters, but in the long stages of the two deeper networks: a, b1, b2, ..."""
    blocks = [len(list(model.get_submodule(f"backbone.layer{s}").children())) for s in (1, 2, 3, 4)]
    numbered = stage in (2, 3) and sum(blocks) > 16
    return f"b{index}" if numbered and index else "abcdef"[index]


def _from_caffe(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Colours in our order, norms as vectors, one name for the classifier."""
    adapted: dict[str, Tensor] = {}
    for key, x in state.items():
        layer, _, blob = key.rpartition(".")
        if layer == "conv1" and x.shape[1] == 3:
            x = x.flip(1)
        if layer in _HEADS:
            key = f"fc.{blob}"
        vector = layer.startswith("bn") or key == "fc.1"
        adapted[key] = x.flatten() if vector else x.reshape(-1, x.shape[-1]) if key == "fc.0" else x
    return adapted


def _volumes(model: VideoModel, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Kernels as 3D ones, but in the last stage, which is 2D there too."""
    state = as_volumes(model, state)
    last = [key for key, x in state.items() if key.startswith("backbone.layer4.") and x.ndim == 5]
    return state | {key: state[key].squeeze(2) for key in last}


def _to_caffe(model: VideoModel, state: dict[str, Tensor]) -> dict[str, Tensor]:
    state = _volumes(model, state)
    stem = "backbone.conv1.weight"
    if state[stem].shape[1] == 3:
        state[stem] = state[stem].flip(1)
    return state


def _caffe_input(spec: InputSpec) -> InputSpec:
    """Pixels from 0 to 255 minus a mean, as the network of the authors takes them."""
    mean = _CAFFE_MEAN.get(spec.modality, _CAFFE_MEAN["rgb"])
    return replace(spec, mean=tuple(m / 255 for m in mean), std=(1 / 255,) * len(mean))


PORT = Source(rename=_port, heads=("fc.weight",), export=_volumes)
CAFFE = Source(
    rename=_caffe, heads=("fc.0",), adapt=_from_caffe, export=_to_caffe, input=_caffe_input
)
