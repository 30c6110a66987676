"""Names of IBM/bLVNet-TAM, IBM/BigLittleNet and IBM/action-recognition-pytorch.

Where the sum is over three frames, the aggregation's weights are called prev, curr and next there;
otherwise they are numbered, as here.
"""

from __future__ import annotations

import re

from ..layers.aggregation import TemporalAggregation
from ..models import VideoModel
from .source import Source

_AGGREGATION = re.compile(r"(.*)weights\.(\d+)")
_STAGE = re.compile(r"backbone\.temporal\.(\w+)\.")
_NEAR = ("prev", "curr", "next")


def _blvnet(model: VideoModel, key: str) -> str:
    """IBM/bLVNet-TAM: a stage's aggregation is the stage's child, the stem's the network's."""
    if key.startswith("head.fc."):
        return key.replace("head.fc.", "new_fc.")
    key = _STAGE.sub(lambda at: _own(at[1]) + "tam.", key).replace(".temporal.", ".tam.")
    if weight := _AGGREGATION.fullmatch(key):
        near = _terms(model) == len(_NEAR)
        name = _NEAR[int(weight[2])] if near else f"blending_layers.{weight[2]}"
        key = f"{weight[1]}{name}.weight"
    return key.replace("backbone.", "baseline_model.", 1)


def _own(stage: str) -> str:
    return "backbone." if stage == "stem" else f"backbone.{stage}."


def _terms(model: VideoModel) -> int:
    found = (m for m in model.modules() if isinstance(m, TemporalAggregation))
    return max((len(module.offsets) for module in found), default=0)


def _big_little(model: VideoModel, key: str) -> str | None:
    """IBM/BigLittleNet: an image network has no aggregation; the other names are the video's."""
    if "temporal." in key:
        return None
    return key.removeprefix("backbone.").replace("head.fc.", "fc.")


def _tam_resnet(model: VideoModel, key: str) -> str:
    """IBM/action-recognition-pytorch: the aggregation's weights lie one level deeper."""
    if weight := _AGGREGATION.fullmatch(key):
        key = f"{weight[1]}{_NEAR[int(weight[2])]}_se.fc1.weight"
    key = key.replace(".temporal.", ".tam.")
    return key.removeprefix("backbone.").replace("head.fc.", "fc.")


BLVNET_TAM = Source(
    rename=_blvnet,
    heads=("new_fc.weight",),
    # without dropout their classifier is the image network's own
    aliases=((r"^baseline_model\.fc\.", "new_fc."),),
)
BIG_LITTLE = Source(rename=_big_little, heads=("fc.weight",), images=True)
ACTION_RECOGNITION = Source(rename=_tam_resnet, heads=("fc.weight",))
