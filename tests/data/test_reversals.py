"""Partners of classes under reversal, told from their names."""

from __future__ import annotations

import pytest

from kinema.data.motion import CLASSES, PAIRS
from kinema.data.motion_definitions import COMPASS, DIRECTIONS, ORDERS
from kinema.data.reversals import reversal_pairs


def partners(*labels):
    return {labels[a]: labels[b] for a, b in reversal_pairs(labels).items()}


def test_the_generated_motion_videos():
    """The two oscillations are no reversal of each other; every other pair is."""
    both = {a: b for a, b in PAIRS if a != "oscillate_slow"}
    assert partners(*CLASSES) == both | {b: a for a, b in both.items()}


@pytest.mark.parametrize("pairs", [DIRECTIONS, COMPASS, ORDERS])
def test_the_motion_benchmark(pairs):
    both = dict(pairs) | {b: a for a, b in pairs}
    assert partners(*both) == both


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Opening something", "Closing something"),
        ("Folding something", "Unfolding something"),
        ("Moving something up", "Moving something down"),
        ("Moving something away from something", "Moving something closer to something"),
        ("Moving something away from the camera", "Moving something towards the camera"),
        ("Moving away from something with your camera", "Approaching something with your camera"),
        ("Putting something into something", "Taking something out of something"),
        ("Pushing something from left to right", "Pulling something from right to left"),
        ("Pulling something onto something", "Pushing something off of something"),
        ("Covering something with something", "Uncovering something"),
        ("Swiping Left", "Swiping Right"),
        ("Pulling Hand In", "Pushing Hand Away"),
        ("Zooming In With Full Hand", "Zooming Out With Full Hand"),
        ("take off jacket", "put on jacket"),
        ("shake_then_nod", "nod_then_shake"),
        ("open_then_turn_left", "turn_right_then_close"),
    ],
)
def test_both_ways(first, second):
    assert partners(first, "Holding something", second) == {first: second, second: first}


@pytest.mark.parametrize(
    "labels",
    [
        ("Thumb Up", "Thumb Down"),
        ("Pouring something into something", "Pouring something out of something"),
        ("PullUps", "PushUps"),
        ("Pretending to open something", "Pretending to close something"),
        ("Pushing something from left to right", "Pushing something from right to left"),
        ("archery", "bowling"),
        ("Opening something", "closing door"),
    ],
)
def test_no_partners(labels):
    assert partners(*labels) == {}
