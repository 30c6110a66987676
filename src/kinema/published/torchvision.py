"""Names of pytorch/vision, whose ImageNet weights training starts from."""

from __future__ import annotations

import re

from ..layers.mobilenet import MobileNetV2
from ..models import VideoModel
from .source import Source


def _torchvision(model: VideoModel, key: str) -> str | None:
    """pytorch/vision: our names; what an image network does not have keeps its initial value."""
    if re.search(r"\.(temporal|before|inner|tail|after|before_stage)\.", key):
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


TORCHVISION = Source(rename=_torchvision, heads=("fc.weight", "classifier.1.weight"), images=True)
