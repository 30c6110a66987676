"""The model families, one per file, and the way to make one by name."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Sequence

from ..registry import suggest
from ..types import JSON, InputSpec, ModelSpec
from .base import Backbone, Neck, VideoModel, models, register_model

__all__ = [
    "Backbone", "Neck", "VideoModel", "create_model", "list_models", "register_model"
]  # fmt: skip

for _family in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_family.name}")


def create_model(
    name: str,
    *,
    num_classes: int | None = None,
    input: InputSpec | None = None,
    labels: Sequence[str] | None = None,
    **overrides: JSON,
) -> VideoModel:
    """Builds a model by name, with fresh weights.

    Args:
        name: see `list_models`.
        num_classes: K; None: the number of labels, or 400 (Kinetics) where there are none.
        input: what clips it will get; None: 8 RGB frames of 224x224. T is read from the tensor, so
            the same weights run other lengths.
        labels: K class names; None: "0", "1", ...
        overrides: arguments of the model's own entry, e.g. `width=16`, `dropout=0.8`.

    Raises:
        KeyError: for an unknown name, with the closest ones.
        TypeError: for an unknown override, with the valid ones.
        ValueError: where the number of labels is not num_classes.
    """
    entry = models[name]
    known = list(inspect.signature(entry).parameters)[2:]
    for key in overrides:
        if key not in known:
            raise TypeError(
                f"{name} has no option {key!r}{suggest(key, known)}; options: {', '.join(known)}"
            )
    if num_classes is None:
        num_classes = len(labels) if labels is not None else 400
    labels = tuple(labels) if labels is not None else tuple(map(str, range(num_classes)))
    if len(labels) != num_classes or num_classes < 1:
        raise ValueError(
            f"num_classes={num_classes} must equal the number of labels, {len(labels)}"
        )
    input = input or InputSpec()
    model = entry(num_classes, input.channels, **overrides)
    model.spec = ModelSpec(name=name, overrides=dict(overrides), input=input, labels=labels)
    return model


def list_models(pattern: str = "*") -> list[str]:
    """Names of all models that match a shell pattern, sorted."""
    return models.names(pattern)
