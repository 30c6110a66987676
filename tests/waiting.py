"""Waiting for what other processes do."""

from __future__ import annotations

import os
import time
from collections.abc import Callable


def ended(group: int) -> bool:
    """Whether no process of a group is left; the first one's end must have been waited for."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def wait_for(condition: Callable[[], bool], *, seconds: float = 60.0) -> None:
    """Returns when `condition()` is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)
