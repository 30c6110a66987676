"""Which class a clip played backwards belongs to, told from the names of the classes.

`Opening something` backwards is `Closing something`. Every word that names a direction in time or
space is replaced by its opposite, and what came first comes last (`shake_then_nod`). A name is
nobody's partner where the result is not among the classes, which is the usual case.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from .flips import words_of

OPPOSITES: tuple[tuple[str, str], ...] = (
    ("left", "right"),
    ("leftward", "rightward"),
    ("leftwards", "rightwards"),
    ("up", "down"),
    ("upward", "downward"),
    ("upwards", "downwards"),
    ("clockwise", "counterclockwise"),
    ("forward", "backward"),
    ("forwards", "backwards"),
    ("in", "out"),
    ("in", "away"),
    ("into", "out of"),
    ("onto", "off of"),
    ("towards", "away from"),
    ("closer to", "away from"),
    ("approaching", "moving away from"),
    ("pushing", "pulling"),
    ("putting", "taking"),
    ("put on", "take off"),
    ("opening", "closing"),
    ("open", "close"),
    ("folding", "unfolding"),
    ("fold", "unfold"),
    ("covering something with something", "uncovering something"),
    ("growing", "shrinking"),
    ("grow", "shrink"),
    ("accelerate", "decelerate"),
    ("sitting", "standing"),
    ("sit", "stand"),
)
# Backwards, these are not their opposites: a pose, a pretence, what falls.
IRREVERSIBLE = {"thumb", "pretending", "trying", "failing", "pouring"}

Words = tuple[str, ...]


def _phrases() -> dict[Words, list[Words]]:
    """Phrase -> its opposites, both ways; long phrases first, so that they count before short."""
    found: dict[Words, list[Words]] = {}
    for pair in OPPOSITES:
        a, b = (tuple(phrase.split()) for phrase in pair)
        found.setdefault(a, []).append(b)
        found.setdefault(b, []).append(a)
    return dict(sorted(found.items(), key=lambda item: -len(item[0])))


PHRASES = _phrases()


def reversal_pairs(labels: Sequence[str]) -> dict[int, int]:
    """The class that a clip of each class belongs to when it is played backwards.

    Args:
        labels: class names.

    Returns:
        label -> label, both ways; only classes whose partner is among the labels. The rule gives
        the pairs of the generated motion videos and finds those of Something-Something (up and
        down, opening and closing, pushing from left to right and pulling from right to left, ...)
        and Jester.
    """
    words = [words_of(label) for label in labels]
    index = {key: i for i, key in reversed(list(enumerate(words)))}
    partners: dict[int, int] = {}
    for i, key in enumerate(words):
        found = [index[other] for other in _backwards(key) if other in index]
        if found and found[0] != i:
            partners[i] = found[0]
    return {a: b for a, b in partners.items() if partners.get(b) == a}


def _backwards(words: Words) -> Iterator[Words]:
    """Names the class could have backwards."""
    if not IRREVERSIBLE.isdisjoint(words):
        return
    parts: list[Words] = [()]
    for word in words:
        if word == "then":
            parts.append(())
        else:
            parts[-1] += (word,)
    for choice in product(*(_turned(part) for part in reversed(parts))):
        name = choice[0]
        for part in choice[1:]:
            name += ("then", *part)
        yield name


def _turned(words: Words) -> list[Words]:
    """Every way to replace all phrases by their opposites."""
    pieces: list[list[Words]] = []
    at = 0
    while at < len(words):
        phrase = next((p for p in PHRASES if words[at : at + len(p)] == p), None)
        pieces.append(PHRASES[phrase] if phrase else [words[at : at + 1]])
        at += len(phrase) if phrase else 1
    return [tuple(word for piece in choice for word in piece) for choice in product(*pieces)]
