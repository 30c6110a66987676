"""Names of pytorch/vision, whose ImageNet weights training starts from."""

from __future__ import annotations

import re

from ..layers.mobilenet import MobileNetV2
from ..models import VideoModel
from .source import Source


def _torchvision(model: VideoModel, key: str) -> str | None:
    """pytorch/vision: our names; what an image network does not have keeps its initial value."""
    places = r"\.(temporal|before|inner|tail|after|before_stage)\."
    if re.search(places, key) or key.startswith("neck."):
        return None
    if model.neck is not None and key.startswith("head."):
        return None  # it classifies what the neck makes
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


def _spare(model: VideoModel, key: str) -> bool:
    """The classifier of images, where a neck stands in front of ours."""
    return model.neck is not None and key.startswith("fc.")


TORCHVISION = Source(
    rename=_torchvision, heads=("fc.weight", "classifier.1.weight"), images=True, spare=_spare
)
