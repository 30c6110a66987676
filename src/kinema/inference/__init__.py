"""Finished models on videos."""

from __future__ import annotations

from .predictor import Predictor

__all__ = ["Predictor"]
