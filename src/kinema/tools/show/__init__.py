"""Looking at models: what `kinema show` draws, one file per kind of look."""

from __future__ import annotations

from .cam import show_cam
from .frames import show_frames
from .tempo import show_tempo

__all__ = ["show_cam", "show_frames", "show_tempo"]
