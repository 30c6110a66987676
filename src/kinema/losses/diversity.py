"""TD-Loss: features of different frames shall differ (TDRL, arXiv:2007.07626, 3.3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ..models import VideoModel
from ..registry import check_choice
from ..types import Outputs

Channels = Literal["first", "last", "spread"]

TINY = 1e-12
"""A channel's map with a smaller sum of squares counts as zero."""


def frame_similarity(x: Tensor) -> Tensor:
    """Cosine similarity of every two frames, channel by channel.

    Computed in float32 (float64 stays), also under autocast. A map that is zero everywhere, such as
    the frame a shift lets in at the end of a clip, is similar to nothing, itself included, and gets
    no gradient.

    Args:
        x: (N, C, T, H, W).

    Returns:
        (N, C, T, T), in [-1, 1].
    """
    with torch.autocast(x.device.type, enabled=False):
        maps = x.to(torch.promote_types(x.dtype, torch.float32)).flatten(3)  # (N, C, T, H*W)
        maps = maps.contiguous()  # one copy; products of channels_last maps would make several
        products = maps @ maps.transpose(2, 3)  # (N, C, T, T)
        squares = products.diagonal(dim1=2, dim2=3)  # (N, C, T)
        seen = squares > TINY
        scale = torch.where(seen, squares, 1.0).rsqrt() * seen
        return products * scale[..., :, None] * scale[..., None, :]


class TemporalDiversity(nn.Module):
    """How similar different frames are, summed over channels and blocks (eq. 5).

    Per block and channel the mean cosine similarity over all pairs of different frames; summed over
    the channels, mean over the clips, summed over the taps. Which channels and the mean over clips
    are ours, the paper's figures and equations do not say.

    Args:
        taps: maps to read.
        weight: factor in the objective, the paper's lambda.
        share: of the channels that count; the others may go on showing the background.
        channels: the `first` ones, the `last` ones, or `spread` evenly. With a shift the first
            quarter are those that move.
    """

    name = "temporal_diversity"

    def __init__(
        self,
        taps: tuple[str, ...],
        weight: float = 2e-4,
        *,
        share: float = 0.5,
        channels: Channels = "first",
    ) -> None:
        super().__init__()
        self.taps = taps
        self.weight = weight
        self.share = share
        self.channels = channels

    def chosen(self, x: Tensor) -> Tensor:
        """The channels that count: (N, C, T, H, W) -> (N, int(C * share), T, H, W)."""
        total = x.shape[1]
        count = int(total * self.share)
        if self.channels == "spread":
            places = torch.arange(count, device=x.device) * total // max(count, 1)
            return x.index_select(1, places)
        return x[:, :count] if self.channels == "first" else x[:, total - count :]

    def forward(self, out: Outputs, target: Tensor) -> Tensor:
        """() float32; the target plays no part. A clip of one frame has no pairs: 0."""
        return torch.stack([self._of_map(out.features[tap]) for tap in self.taps]).sum()

    def _of_map(self, x: Tensor) -> Tensor:
        similarity = frame_similarity(self.chosen(x))  # (N, C', T, T)
        steps = x.shape[2]
        own = similarity.diagonal(dim1=2, dim2=3).sum()
        return (similarity.sum() - own) / (x.shape[0] * max(steps * (steps - 1), 1))


@dataclass(frozen=True, kw_only=True)
class DiversityConfig:
    """See `TemporalDiversity`.

    Attributes:
        taps: (): the temporal module's output in the last block of each of the last three stages
            (res3, res4, res5). `layerS.B.before` taps are the maps in front of that module.
    """

    kind: Literal["temporal_diversity"] = "temporal_diversity"
    weight: float = 2e-4
    share: float = 0.5
    channels: Channels = "first"
    taps: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_choice("loss channels", self.channels, Channels)
        if not 0 < self.share <= 1:
            raise ValueError(f"loss share={self.share} must be above 0 and at most 1")

    def build(self, model: VideoModel) -> TemporalDiversity:
        """The term, with the taps of this model.

        Raises:
            ValueError: where no taps are given and the model has no such blocks, and where the
                share leaves none of a tap's channels.
        """
        known = model.backbone.tap_channels
        taps = self.taps or last_temporal_taps(known)
        if not taps:
            raise ValueError(
                f"loss temporal_diversity: {model.spec.name} has no stages of residual blocks; "
                f"give taps, of {', '.join(known)}"
            )
        for tap in taps:
            if tap in known and int(known[tap] * self.share) == 0:
                raise ValueError(
                    f"loss share={self.share} leaves none of the {known[tap]} channels of {tap}"
                )
        return TemporalDiversity(taps, self.weight, share=self.share, channels=self.channels)


def last_temporal_taps(taps: Mapping[str, int], stages: int = 3) -> tuple[str, ...]:
    """The temporal module's tap in the last block of each of the last stages.

    Args:
        taps: all of a backbone, in the order of the pass.
        stages: how many.
    """
    found = [re.fullmatch(r"(layer\d+)\.\d+\.temporal", tap) for tap in taps]
    last = {match[1]: match[0] for match in found if match}  # a later block replaces an earlier
    return tuple(last.values())[-stages:]
