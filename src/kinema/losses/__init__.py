"""Loss terms and the objective they add up to."""

from __future__ import annotations

from typing import TypeAlias

from .auxiliary import AuxHead, AuxHeadConfig
from .binary_cross_entropy import BinaryCrossEntropy, BinaryCrossEntropyConfig, activation_of
from .diversity import DiversityConfig, TemporalDiversity
from .objective import CrossEntropy, CrossEntropyConfig, LossReport, LossTerm, Objective, TermConfig

AnyTermConfig: TypeAlias = (
    CrossEntropyConfig | AuxHeadConfig | DiversityConfig | BinaryCrossEntropyConfig
)
"""The term configurations a recipe file may name, by their `kind`; a union that grows with them."""

__all__ = [
    "AnyTermConfig", "AuxHead", "AuxHeadConfig", "BinaryCrossEntropy", "BinaryCrossEntropyConfig",
    "CrossEntropy", "CrossEntropyConfig", "DiversityConfig", "LossReport", "LossTerm", "Objective",
    "TemporalDiversity", "TermConfig", "activation_of",
]  # fmt: skip
