"""Names of PaddlePaddle/models: image ResNets, and the TSN models that start from them."""

from __future__ import annotations

import re

from torch import Tensor

from ..models import VideoModel
from .source import Source

_NORM = {"weight": "scale", "bias": "offset", "running_mean": "mean", "running_var": "variance"}
_CONVS = {"conv1": "branch2a", "conv2": "branch2b", "conv3": "branch2c", "downsample.0": "branch1"}
_NORMS = {"bn1": "branch2a", "bn2": "branch2b", "bn3": "branch2c", "downsample.1": "branch1"}
_PLACE = re.compile(r"backbone\.layer(\d)\.(\d+)\.(.+)\.(\w+)")
MANY = 23  # blocks in res4 from which they are numbered, not lettered


def _paddle(model: VideoModel, key: str) -> str | None:
    """res4f_branch2b_weights, bn4f_branch2b_scale: the names of the first ResNet in Caffe."""
    if key.startswith("head.fc."):
        if model.neck is not None:
            return None  # it classifies what the neck makes
        return {"weight": "fc_0.w_0", "bias": "fc_0.b_0"}[key.rpartition(".")[2]]
    if key.endswith("num_batches_tracked"):
        return None
    if key == "backbone.conv1.weight":
        return "conv1_weights"
    if key.startswith("backbone.bn1."):
        return f"bn_conv1_{_NORM[key.rpartition('.')[2]]}"
    if not (place := _PLACE.fullmatch(key)):
        return None
    stage, index, module, parameter = place.groups()
    block = _block(model, int(stage), int(index))
    if module in _CONVS:
        return f"res{block}_{_CONVS[module]}_weights"
    if module in _NORMS:
        return f"bn{block}_{_NORMS[module]}_{_NORM[parameter]}"
    return None


def _block(model: VideoModel, stage: int, index: int) -> str:
    """4f, or 4b5 where there are too many for letters (ResNet-101 and -152)."""
    blocks = list(model.get_submodule("backbone.layer3").children())
    if len(blocks) >= MANY and stage in (2, 3):
        return f"{stage + 1}{'a' if index == 0 else f'b{index}'}"
    return f"{stage + 1}{chr(ord('a') + index)}"


def _transposed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Linear weights: theirs are (inputs, outputs)."""
    return {key: x.T.contiguous() if x.ndim == 2 else x for key, x in state.items()}


def _spare(model: VideoModel, key: str) -> bool:
    """The classifier of images where a neck stands in front of ours; the optimizer's variables."""
    return (model.neck is not None and key.startswith("fc_0.")) or "@" in key


PADDLE = Source(
    rename=_paddle,
    heads=("fc_0.w_0",),
    images=True,
    adapt=_transposed,
    spare=_spare,
    export=lambda model, state: _transposed(state),
)
