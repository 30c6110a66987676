"""Checkpoints of other projects: one file of names per project, one conversion for all."""

from __future__ import annotations

from .conversion import SOURCES, convert, export_state_dict
from .reading import read_checkpoint
from .source import Rename, Source

__all__ = ["SOURCES", "Rename", "Source", "convert", "export_state_dict", "read_checkpoint"]
