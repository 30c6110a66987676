"""Names of pytorch/vision, whose ImageNet weights training starts from."""

from __future__ import annotations

import re

from ..layers.mobilenet import MobileNetV2
from ..models import VideoModel
from ..models.p3d import P3DBlock
from .naming import BLOCK
from .source import Source


def _torchvision(model: VideoModel, key: str) -> str | None:
    """pytorch/vision: our names; what an image network does not have keeps its initial value."""
    places = r"\.(temporal|before|inner|tail|after|before_stage)\."
    if re.search(places, key) or key.startswith("neck."):
        return None
    if model.neck is not None and key.startswith("head."):
        return None  # it classifies what the neck makes
    if block := BLOCK.fullmatch(key):
        part = model.get_submodule(f"backbone.{block[1]}.{block[2]}")
        if isinstance(part, P3DBlock):
            return _without_time(block)
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


def _without_time(block: re.Match[str]) -> str | None:
    """A pseudo-3D block: its third convolution runs over time, its fourth is the image's third."""
    stage, index, rest = block.groups()
    if rest.startswith(("conv3.", "bn3.")):
        return None
    return f"{stage}.{index}." + re.sub(r"^(conv|bn)4\.", r"\g<1>3.", rest)


def _spare(model: VideoModel, key: str) -> bool:
    """The classifier of images, where a neck stands in front of ours."""
    return model.neck is not None and key.startswith("fc.")


TORCHVISION = Source(
    rename=_torchvision, heads=("fc.weight", "classifier.1.weight"), images=True, spare=_spare
)
