"""Videos that cannot be read while a run goes on: what is known of them, and how many may be.

With `on_error=raise` the first one ends the run. With `on_error=skip` it is left out in testing; in
training its place in the batch is taken by another video, see `Fetch`. Neither is silent: every one
is counted, and more of them than `max_skipped` end the run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

OnError: TypeAlias = Literal["raise", "skip"]

MAX_SKIPPED = 0.01  # of the videos of a split
A_FEW = 3  # that a share always allows, so that one damaged file of fifty does not end a run
SHOWN = 3  # files an error names


@dataclass(frozen=True, kw_only=True)
class Unread:
    """One failed attempt to read a video.

    Attributes:
        id: of its record.
        cause: the error's text, which begins with the path.
        instead: in training, id of the video that took its place; "": none did.
    """

    id: str
    cause: str
    instead: str = ""


class TooManyUnreadError(RuntimeError):
    """More videos of a split could not be read than `max_skipped` allows."""


def allowed(max_skipped: float, videos: int) -> int:
    """How many of the videos of a split may be unreadable.

    Args:
        max_skipped: below 1 a share of the videos, of which there may always be three; from 1 on a
            number of videos.
        videos: of the split.

    Raises:
        ValueError: for a number that is not above 0, or not whole from 1 on.
    """
    if not 0 < max_skipped < math.inf or (max_skipped >= 1 and max_skipped % 1):
        raise ValueError(
            f"max_skipped={max_skipped:g} must be a share between 0 and 1 or a whole number of "
            "videos; on_error=raise allows none"
        )
    return int(max_skipped) if max_skipped >= 1 else max(A_FEW, math.floor(max_skipped * videos))


def check_unread(causes: Sequence[str], videos: int, *, max_skipped: float, split: str) -> None:
    """Ends a run that cannot read too many of its videos.

    Args:
        causes: one text for each unreadable video.
        videos: of the split.
        max_skipped: see `allowed`.
        split: its name.

    Raises:
        TooManyUnreadError: with the count, the first files and the remedy.
    """
    limit = allowed(max_skipped, videos)
    if len(causes) > limit:
        raise TooManyUnreadError(
            f"{split}: at least {len(causes)} of {videos} videos cannot be read, "
            f"max_skipped={max_skipped:g} allows {limit}; the first are: "
            f"{'; '.join(causes[:SHOWN])}; `kinema data check` finds all of them and writes "
            "manifests without them"
        )
