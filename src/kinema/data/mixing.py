"""Mixup and CutMix: clips of a batch become mixtures of two, and so do their targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..types import Batch


@dataclass(frozen=True)
class Mixing:
    """Mixes each clip of a batch with another one of it; one share for the whole batch.

    mixup (arXiv:1710.09412) adds pixels; CutMix (arXiv:1905.04899) puts a box of the other clip in
    place, the same one in all frames. Where both are on, the batch draws one of them.

    Attributes:
        num_classes: K of the targets.
        mixup: alpha of the Beta distribution the share is drawn from; 0: off.
        cutmix: the same for CutMix.
    """

    num_classes: int
    mixup: float
    cutmix: float

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """Clips (N, V, C, T, H, W) uint8 stay so; targets (N,) or (N, K) become (N, K) float."""
        partner = torch.from_numpy(rng.permutation(len(batch.ids)))
        use_mixup = self.mixup > 0 and (self.cutmix == 0 or rng.random() < 0.5)
        if use_mixup:
            share = float(rng.beta(self.mixup, self.mixup))
            clips = _blend(batch.clips, batch.clips[partner], share)
        else:
            clips, share = _paste(batch.clips, batch.clips[partner], self.cutmix, rng)
        targets = batch.targets
        if targets.ndim == 1:
            targets = F.one_hot(targets, self.num_classes).float()
        targets = share * targets + (1 - share) * targets[partner]
        return Batch(clips, targets, batch.ids, batch.spans)


def _blend(clips: Tensor, others: Tensor, share: float) -> Tensor:
    return torch.lerp(others.float(), clips.float(), share).round_().byte()


def _paste(
    clips: Tensor, others: Tensor, alpha: float, rng: np.random.Generator
) -> tuple[Tensor, float]:
    """The clips with a box of the others, and the share of the picture that stayed."""
    height, width = clips.shape[-2:]
    side = float(np.sqrt(1 - rng.beta(alpha, alpha)))
    h, w = round(height * side), round(width * side)
    middle, centre = int(rng.integers(height)), int(rng.integers(width))
    top, bottom = max(0, middle - h // 2), min(height, middle - h // 2 + h)
    left, right = max(0, centre - w // 2), min(width, centre - w // 2 + w)
    mixed = clips.clone()
    mixed[..., top:bottom, left:right] = others[..., top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)
