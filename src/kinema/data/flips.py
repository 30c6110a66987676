"""Which class a mirrored clip belongs to, told from the names of the classes.

`Swiping Left` seen in a mirror is `Swiping Right`. The words are read as whole words, however they
are joined (`swipe_left`, `SwipeLeft`, `counter-clockwise`), so `upright` is no direction.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
MIRRORED = {
    "left": "right",
    "right": "left",
    "leftward": "rightward",
    "rightward": "leftward",
    "leftwards": "rightwards",
    "rightwards": "leftwards",
    "clockwise": "counterclockwise",
    "counterclockwise": "clockwise",
}
OPPOSITE_PREFIXES = ("counter", "anti")
# "right" that is no direction: "pulling it right out", "turn right side up", "right angle"
NO_DIRECTION_AFTER_RIGHT = {"out", "away", "angle", "before", "after", "now"}
NO_DIRECTION_AFTER_RIGHT_SIDE = {"up", "down", "out"}
NO_DIRECTION_AFTER_LEFT = {"over", "behind", "alone"}


def flip_map_from_names(labels: Sequence[str]) -> dict[int, int | None] | None:
    """The label of each direction-bearing class after mirroring, by swapping the words.

    left and right, clockwise and counterclockwise (also counter-clockwise, anticlockwise) change
    places. The rule gives the published pairs of Something-Something V1 and V2 and of Jester.

    Args:
        labels: class names.

    Returns:
        label -> label after mirroring, for classes that name a direction; None as value: the
        mirrored class is not among the labels, so its clips must not be mirrored. None instead of
        a mapping: no class names a direction.
    """
    words = [words_of(label) for label in labels]
    index = {key: i for i, key in reversed(list(enumerate(words)))}
    flips = {
        i: index.get(mirrored)
        for i, key in enumerate(words)
        if (mirrored := _mirrored(key)) is not None
    }
    return flips or None


def mirrored_labels(
    labels: Sequence[int], flip_map: Mapping[int, int | None] | None
) -> tuple[int, ...] | None:
    """The labels of a clip after mirroring; None: it must not be mirrored, for one of them."""
    after = [label if flip_map is None else flip_map.get(label, label) for label in labels]
    known = tuple(label for label in after if label is not None)
    return known if len(known) == len(after) else None


def words_of(label: str) -> tuple[str, ...]:
    """Lower-case words; `counter clockwise` and its spellings become one word."""
    words: list[str] = []
    for word in (match.group().lower() for match in WORDS.finditer(label)):
        if word == "clockwise" and words and words[-1] in OPPOSITE_PREFIXES:
            words[-1] = "counterclockwise"
        else:
            words.append("counterclockwise" if word == "anticlockwise" else word)
    return tuple(words)


def _mirrored(words: tuple[str, ...]) -> tuple[str, ...] | None:
    """The words with directions swapped; None where there are none."""
    swapped = tuple(
        MIRRORED[word] if word in MIRRORED and _is_direction(words, i) else word
        for i, word in enumerate(words)
    )
    return None if swapped == words else swapped


def _is_direction(words: tuple[str, ...], at: int) -> bool:
    following = words[at + 1 : at + 3]
    if words[at] == "right" and following:
        if following[0] == "side":
            return following[-1] not in NO_DIRECTION_AFTER_RIGHT_SIDE
        return following[0] not in NO_DIRECTION_AFTER_RIGHT
    if words[at] == "left" and following:
        return following[0] not in NO_DIRECTION_AFTER_LEFT
    return True
