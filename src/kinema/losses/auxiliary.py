"""A classifier on an intermediate map, in training only (auxiliary head of arXiv:2004.03548)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from ..layers.temporal_pyramid import FrameUnit, xavier_convs
from ..models import VideoModel
from ..types import Outputs
from .objective import distribution


class AuxHead(nn.Module):
    """Cross entropy of a small head on a tap.

    A strided 3x3 unit that doubles the channels, the mean over the clip, dropout, a linear layer.
    The model's file does not contain it.

    Args:
        tap: what it reads.
        in_channels: channels of that map.
        num_classes: K.
        weight: factor in the objective.
        dropout: probability, on the pooled clip.
    """

    name = "aux_head"

    def __init__(
        self, tap: str, in_channels: int, num_classes: int, *, weight: float, dropout: float
    ) -> None:
        super().__init__()
        self.taps: tuple[str, ...] = (tap,)
        self.weight = weight
        self.unit = FrameUnit(in_channels, 2 * in_channels, 3, stride=2)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(2 * in_channels, num_classes)
        xavier_convs(self)
        nn.init.normal_(self.fc.weight, std=0.01)
        nn.init.zeros_(self.fc.bias)

    def forward(self, out: Outputs, target: Tensor) -> Tensor:
        """Cross entropy in float32, () float; several labels share it as in `CrossEntropy`."""
        logits = self.logits(out.features[self.taps[0]])
        return F.cross_entropy(logits.float(), distribution(target))

    def logits(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> (N, K)."""
        return self.fc(self.dropout(self.unit(x).mean((2, 3, 4))))


@dataclass(frozen=True, kw_only=True)
class AuxHeadConfig:
    """See `AuxHead`; the defaults are TPN's: on res4, half the weight of the classifier's loss."""

    kind: Literal["aux_head"] = "aux_head"
    tap: str = "layer3"
    weight: float = 0.5
    dropout: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise ValueError(f"loss dropout={self.dropout} must be at least 0 and below 1")

    def build(self, model: VideoModel) -> AuxHead:
        """The term, sized for this model.

        Raises:
            ValueError: where the backbone has no such tap.
        """
        channels = model.backbone.tap_channels
        if self.tap not in channels:
            stages = [tap for tap in channels if "." not in tap]
            raise ValueError(
                f"loss aux_head: {model.spec.name} has no tap {self.tap!r}; its stages are "
                f"{', '.join(stages)}"
            )
        return AuxHead(
            self.tap,
            channels[self.tap],
            len(model.spec.labels),
            weight=self.weight,
            dropout=self.dropout,
        )
