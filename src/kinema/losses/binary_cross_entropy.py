"""Several labels as as many questions: each class is there or not, whatever the others are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from ..models import VideoModel
from ..types import Activation, Outputs
from .objective import CrossEntropyConfig, TermConfig


class BinaryCrossEntropy(nn.Module):
    """Logistic loss of every class by itself; a model trained with it is read with the sigmoid.

    Args:
        weight: factor in the objective. The loss is a mean over clips and classes, so the gradient
            at a logit has 1/K of the size it has with cross entropy; `weight` K makes up for it.
    """

    name = "binary_cross_entropy"
    taps: tuple[str, ...] = ()

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, out: Outputs, target: Tensor) -> Tensor:
        """Mean over clips and classes in float32, () float."""
        logits = out.logits.float()
        if target.ndim == 1:
            target = F.one_hot(target, logits.shape[1])
        return F.binary_cross_entropy_with_logits(logits, target.to(logits.dtype))


@dataclass(frozen=True, kw_only=True)
class BinaryCrossEntropyConfig:
    """See `BinaryCrossEntropy`."""

    kind: Literal["binary_cross_entropy"] = "binary_cross_entropy"
    weight: float = 1.0

    def build(self, model: VideoModel) -> BinaryCrossEntropy:
        """The term; it needs nothing of the model."""
        return BinaryCrossEntropy(self.weight)


def activation_of(terms: Sequence[TermConfig]) -> Activation:
    """What makes probabilities of the logits of a model trained with these terms.

    Raises:
        ValueError: where one term wants the softmax and another the sigmoid.
    """
    binary = any(isinstance(term, BinaryCrossEntropyConfig) for term in terms)
    if binary and any(isinstance(term, CrossEntropyConfig) for term in terms):
        raise ValueError(
            "loss cross_entropy makes the labels compete and binary_cross_entropy does not; "
            "leave one of them out"
        )
    return "sigmoid" if binary else "softmax"
