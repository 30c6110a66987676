"""Names of decisionforce/TPN."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ..models import VideoModel
from ..types import JSON
from .naming import as_volumes, neck_name
from .source import Source

# Their second level fusion ends the top-down flow, the first the bottom-up flow.
_NECK = {
    "neck.spatial.#.#.conv": "necks.spatial_modulation.spatial_modulation.#.#.conv",
    "neck.spatial.#.#.bn": "necks.spatial_modulation.spatial_modulation.#.#.bn",
    "neck.temporal.#": "necks.temporal_modulation_ops.#.conv",
    "neck.bottom_up.#": "necks.downsampling_ops.#.conv",
    "neck.fusion.conv": "necks.pyramid_fusion_op.0",
    "neck.fusion.bn": "necks.pyramid_fusion_op.1",
} | {
    f"neck.fusions.{flow}.{ours}": f"necks.{fusion}.{theirs}"
    for flow, fusion in (("top_down", "level_fusion_op2"), ("bottom_up", "level_fusion_op"))
    for ours, theirs in (
        ("levels.#.conv", "ops.#.conv"),
        ("levels.#.bn", "ops.#.norm"),
        ("mix.conv", "fusion_conv.0"),
        ("mix.bn", "fusion_conv.1"),
    )
}


def _official_tpn(model: VideoModel, key: str) -> str:
    """The backbone's names are ours: this project shifts without wrappers."""
    if key.startswith("head.fc."):
        return key.replace("head.fc.", "cls_head.fc_cls.")
    return neck_name(key, _NECK) if key.startswith("neck.") else key


def _options(name: str, state: Mapping[str, Tensor]) -> dict[str, JSON]:
    """What the names do not tell: the order of the flows, the shift's place, a fixed width.

    Raises:
        ValueError: for a model of which this project's weights compute something else.
    """
    if name.startswith("tsm_"):
        raise ValueError(
            f"model={name!r}: decisionforce/TPN shifts what projections see too, which {name} "
            "does not; the source has weights for tpn_*, slowonly_* and tsn_*"
        )
    options: dict[str, JSON] = {}
    if name.startswith("tpn_"):
        options["flow"] = "cascade"
    if name.startswith("tpn_tsm"):
        options["place"] = "inplace"
    stem, fusion = state.get("backbone.conv1.weight"), state.get("necks.pyramid_fusion_op.0.weight")
    if stem is not None and fusion is not None and len(fusion) != 32 * len(stem):
        options["out_channels"] = len(fusion)
    return options


def _spare(model: VideoModel, key: str) -> bool:
    """The auxiliary head, which only training has."""
    return key.startswith("necks.aux_head.")


TPN_AUTHORS = Source(
    rename=_official_tpn,
    heads=("cls_head.fc_cls.weight",),
    options=_options,
    spare=_spare,
    export=as_volumes,
)
