"""Published checkpoints as model files."""

from __future__ import annotations

from pathlib import Path

from ..checkpoint import save
from ..models import VideoModel
from ..published import SOURCES, convert, export_state_dict
from ..types import JSON

__all__ = ["SOURCES", "convert", "convert_file", "export_state_dict"]


def convert_file(
    path: Path, out: Path, *, source: str, model: str, overrides: dict[str, JSON]
) -> VideoModel:
    """Converts a checkpoint file into the model file `out`; see `convert`."""
    converted = convert(
        path,
        source=source,
        model=model,
        **overrides,  # type: ignore[arg-type]
    )
    save(converted, out, source=source, converted_from=path.name)
    return converted
