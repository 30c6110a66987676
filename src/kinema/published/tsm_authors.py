"""Names of mit-han-lab/temporal-shift-module."""

from __future__ import annotations

from ..layers.shift import CausalShift
from ..models import VideoModel
from .naming import BLOCK, FEATURE, shifted_at, wrapped_block
from .source import Source


def _official_tsm(model: VideoModel, key: str) -> str:
    """mit-han-lab/temporal-shift-module: a shifted convolution lies one level deeper, in `net`."""
    if any(isinstance(part, CausalShift) for part in model.modules()):
        # The online network was released on its own, without wrappers.
        return key.removeprefix("backbone.").replace("head.fc.", "classifier.")
    if key.startswith("head.fc."):
        return key.replace("head.fc.", "new_fc.")
    if block := BLOCK.fullmatch(key):
        inner = {
            "after.theta": "nl.theta", "after.g": "nl.g.0", "after.phi": "nl.phi.0",
            "after.out": "nl.W.0", "after.bn": "nl.W.1",
        }  # fmt: skip
        return "base_model." + wrapped_block(model, block, inner, shifted="conv1.net")
    if (feature := FEATURE.fullmatch(key)) and shifted_at(model, f"features.{feature[1]}"):
        rest = feature[2].replace("conv.0.", "conv.0.net.", 1)
        return f"base_model.features.{feature[1]}.{rest}"
    return key.replace("backbone.", "base_model.", 1)


TSM_AUTHORS = Source(
    rename=_official_tsm,
    heads=("new_fc.weight", "classifier.weight"),
    aliases=((r"^base_model\.(fc|classifier)\.", "new_fc."),),
)
