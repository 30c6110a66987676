"""The six definitions of the motion benchmark: which videos, which tests, which claim.

A number under a definition is comparable with every other under the same version, so a definition
is never changed: what would change a video, a split or a test gets the next version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from zlib import crc32

from ..registry import suggest
from .motion_paths import Clip, Range

FPS = 16
DIRECTIONS = (
    ("left", "right"),
    ("up", "down"),
    ("clockwise", "counterclockwise"),
    ("grow", "shrink"),
)
COMPASS = (
    ("left", "right"),
    ("up", "down"),
    ("left_and_up", "right_and_down"),
    ("left_and_down", "right_and_up"),
)
ORDERS = (
    ("shake_then_nod", "nod_then_shake"),
    ("twist_then_swell", "swell_then_twist"),
)


@dataclass(frozen=True, kw_only=True)
class Part:
    """How the videos of one split are drawn.

    Attributes:
        speed: see `Clip`.
        background: share of the clips whose ground has its class's own colour and grain; in the
            others these are drawn.
        gap: see `Clip`.
        before: see `Clip`.
    """

    speed: Range = (0.5, 1.1)
    background: float = 0.0
    gap: Range = (1.0, 1.0)
    before: Range = (0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One test of a trained model.

    Attributes:
        split: the videos.
        frames: clip length the model is given; 0: the one it was trained with.
        note: what is particular, in a few words.
        ceiling: the best accuracy a method can expect that does not see the order of frames.
        single_frame: the best accuracy one frame allows.
        limit: the best accuracy the frames given allow at all.
    """

    split: str
    frames: int = 0
    note: str = ""
    ceiling: float = 0.5
    single_frame: float = 0.125
    limit: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Definition:
    """Videos and tests aimed at one claim.

    Attributes:
        name: of the benchmark.
        version: raised with every change to what follows.
        claim: what somebody says of a method, in one sentence.
        source: who says so.
        pairs: classes that are each other's reversal in time, or hold the same frames in another
            order.
        parts: splits; `train`, `val` and `test` are among them.
        conditions: tests by name; the first is the one a single number is given for.
        frames: of a video.
        event: see `Clip`.
        swing: see `Clip`.
    """

    name: str
    version: int
    claim: str
    source: str
    pairs: tuple[tuple[str, str], ...] = DIRECTIONS
    parts: Mapping[str, Part] = field(
        default_factory=lambda: {"train": Part(), "val": Part(), "test": Part()}
    )
    conditions: Mapping[str, Condition] = field(
        default_factory=lambda: {"test": Condition(split="test")}
    )
    frames: int = 32
    event: float = 0.5
    swing: float = 0.3

    @property
    def classes(self) -> tuple[str, ...]:
        """Names, the two of a pair beside each other."""
        return tuple(name for pair in self.pairs for name in pair)

    def clip(self, split: str, label: str, index: int, *, pixels: int) -> Clip:
        """Everything about one clip; other definitions, versions and splits draw other clips."""
        part, number = self.parts[split], self.classes.index(label)
        seed = crc32(f"{self.name} {self.version} {split}".encode())
        return Clip(
            label=label,
            key=(seed, pixels, number, index),
            size=pixels,
            frames=self.frames,
            fps=FPS,
            speed=part.speed,
            own_ground=part.background,
            ground=number,
            grounds=len(self.classes),
            event=self.event,
            swing=self.swing,
            gap=part.gap,
            before=part.before,
        )


ORDER = Definition(
    name="order",
    version=1,
    claim="Mean scores of single frames cannot tell an action from its reversal; exchanging "
    "features between frames can.",
    source="TSM, arXiv:1811.08383",
)

TEMPO = Definition(
    name="tempo",
    version=1,
    claim="One action is done fast by one person and slowly by another, and a pyramid over "
    "temporal rates recognises both.",
    source="TPN, arXiv:2004.03548, figures 4 and 5",
    parts={
        "train": Part(speed=(0.5, 0.8)),
        "val": Part(speed=(0.5, 0.8)),
        "test": Part(speed=(0.5, 0.8)),
        "slower": Part(speed=(0.15, 0.3)),
        "faster": Part(speed=(1.2, 1.8)),
    },
    conditions={
        "seen": Condition(split="test", note="speeds of training"),
        "slower": Condition(split="slower", note="a third of the speeds of training"),
        "faster": Condition(split="faster", note="more than twice the speeds of training"),
    },
)

BIAS = 0.5
BACKGROUND = Definition(
    name="background",
    version=2,
    claim="Most of a frame is background that repeats, so networks learn the scene in place of "
    "the action; suppressing what repeats turns them to the motion.",
    source="TDRL, arXiv:2007.07626",
    parts={
        "train": Part(background=BIAS),
        "val": Part(background=BIAS),
        "test": Part(),
        "correlated": Part(background=BIAS),
    },
    conditions={
        "uncorrelated": Condition(split="test", note="the ground says nothing"),
        "correlated": Condition(
            split="correlated",
            note="as in training: half of the grounds are those of the class",
            ceiling=BIAS + (1 - BIAS) * 0.5,
            single_frame=BIAS + (1 - BIAS) * 0.125,
        ),
    },
)

FAST = Part(speed=(1.0, 5.0))  # a turn forward in n frames is also one back if it exceeds half
FRAMES = Definition(
    name="frames",
    version=1,
    claim="More frames make a better model, where the model aggregates over time and can pay for "
    "them.",
    source="bLVNet-TAM, arXiv:1912.00869, accuracy against the number of input frames",
    parts={"train": FAST, "val": FAST, "test": FAST},
    conditions={
        "8": Condition(split="test", frames=8, note="half of the speeds alias", limit=0.75),
        "4": Condition(split="test", frames=4, note="all speeds alias", limit=0.5),
        "16": Condition(split="test", frames=16, note="no speed aliases"),
        "32": Condition(split="test", frames=32, note="no speed aliases; every frame"),
    },
)

DECOUPLING = Definition(
    name="decoupling",
    version=2,
    claim="A filter in space and one in time, one after the other or side by side, do the work of "
    "a filter in both.",
    source="P3D, arXiv:1711.10305, blocks A, B and C",
    pairs=COMPASS,
)

LONG_RANGE = Definition(
    name="long_range",
    version=1,
    claim="Relating events that lie far apart takes features that reach over the whole clip.",
    source="non-local networks, arXiv:1711.07971",
    pairs=ORDERS,
    event=0.375,
    swing=0.45,
    parts={
        "train": Part(gap=(0.0, 1.0), before=(0.0, 1.0), speed=(1.0, 1.0)),
        "val": Part(gap=(0.0, 1.0), before=(0.0, 1.0), speed=(1.0, 1.0)),
        "test": Part(gap=(0.0, 1.0), before=(0.0, 1.0), speed=(1.0, 1.0)),
        "early": Part(gap=(0.0, 0.0), before=(0.0, 0.0), speed=(1.0, 1.0)),
        "late": Part(gap=(0.0, 0.0), before=(1.0, 1.0), speed=(1.0, 1.0)),
        "half_gap": Part(gap=(0.5, 0.5), before=(0.0, 1.0), speed=(1.0, 1.0)),
        "full_gap": Part(gap=(1.0, 1.0), before=(0.0, 0.0), speed=(1.0, 1.0)),
    },
    conditions={
        "anywhere": Condition(
            split="test", note="rests before, between and after as in training", single_frame=0.25
        ),
        "early": Condition(
            split="early",
            note="both events at once, then a quarter of a clip of rest",
            single_frame=0.25,
        ),
        "late": Condition(
            split="late", note="a quarter of a clip of rest, then both events", single_frame=0.25
        ),
        "half_gap": Condition(
            split="half_gap", note="an eighth of the clip between the events", single_frame=0.25
        ),
        "full_gap": Condition(
            split="full_gap", note="a quarter of the clip between the events", single_frame=0.25
        ),
    },
)

BENCHMARKS: Mapping[str, Definition] = {
    each.name: each for each in (ORDER, TEMPO, BACKGROUND, FRAMES, DECOUPLING, LONG_RANGE)
}


def benchmark(name: str) -> Definition:
    """The definition of that name.

    Raises:
        ValueError: for a name that is not known.
    """
    if name not in BENCHMARKS:
        raise ValueError(
            f"motion benchmark {name!r} is not known{suggest(name, BENCHMARKS)}; known: "
            f"{', '.join(BENCHMARKS)}"
        )
    return BENCHMARKS[name]
