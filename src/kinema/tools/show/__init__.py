"""Looking at models: what `kinema show` draws, one file per kind of look."""

from __future__ import annotations

from .frames import show_frames

__all__ = ["show_frames"]
