"""Looking at models: what `kinema show` draws, one file per kind of look."""

from __future__ import annotations

from .cam import show_cam
from .channels import show_channels
from .frames import show_frames
from .similarity import show_similarity
from .tempo import show_tempo

__all__ = ["show_cam", "show_channels", "show_frames", "show_similarity", "show_tempo"]
