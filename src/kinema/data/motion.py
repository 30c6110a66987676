"""Generated videos in which motion alone tells the classes apart.

A textured sprite moves over a textured ground. Its state is a point on a torus of four dimensions:
x, y, angle and size (on a logarithmic scale), each wrapping round. A class is a path of
displacements; the start is uniform on the torus, so every single frame has the same law whatever
the class. Classes come in pairs that are each other's reversal in time (or, for the two
oscillations, have the same set of states in another order), so a method that does not see the
order of frames cannot tell the two of a pair apart: `order_blind_ceiling` is what it can reach.
Every frame is coded on its own, so no frame holds pixels of the one before. (The encoder's constant
rate factor still sets how finely a frame is coded by what it has coded, and a clip and its reversal
differ by that in most frames, by a grey level or so; networks on single frames stay at chance.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..plain import to_plain
from ..registry import suggest
from .manifest import DataSplits
from .motion_files import make_videos
from .motion_paths import Clip

SPLITS = ("train", "val", "test")

PAIRS: tuple[tuple[str, str], ...] = (
    ("left", "right"),
    ("up", "down"),
    ("clockwise", "counterclockwise"),
    ("grow", "shrink"),
    ("shake_then_nod", "nod_then_shake"),
    ("twist_then_swell", "swell_then_twist"),
    ("oscillate_slow", "oscillate_fast"),
)
CLASSES: tuple[str, ...] = tuple(name for pair in PAIRS for name in pair)
DIRECTIONS: tuple[str, ...] = CLASSES[:8]

SPEC_FILE = "motion.json"


def chance(classes: Sequence[str]) -> float:
    """Accuracy of guessing."""
    return 1 / len(classes)


def order_blind_ceiling(classes: Sequence[str]) -> float:
    """The best accuracy a method can expect that sees the frames without their order.

    It may tell the pairs apart, but not the two classes of one pair.
    """
    groups = {next(pair for pair in PAIRS if name in pair) for name in classes}
    return len(groups) / len(classes)


@dataclass(frozen=True, kw_only=True)
class MotionSpec:
    """A set of motion videos; equal specifications give equal videos.

    Attributes:
        classes: from `CLASSES`; the default is the first eight, the four pairs of directions.
        train: clips per class.
        val: clips per class.
        test: clips per class.
        size: side of the square picture in pixels, even.
        frames: per clip.
        fps: frames per second.
        train_speed: slowest and fastest motion, in rounds of the torus per clip. The oscillations
            have no speed of their own: one and three periods per clip.
        val_speed: None: as in training.
        test_speed: None: as in training.
        background: share of the training clips whose ground has its class's own colour and grain;
            in the others, and in validation and test, these are drawn. 0: they say nothing.
        seed: of everything.
    """

    classes: tuple[str, ...] = DIRECTIONS
    train: int = 150
    val: int = 40
    test: int = 50
    size: int = 64
    frames: int = 32
    fps: int = 16
    train_speed: tuple[float, float] = (0.5, 1.1)
    val_speed: tuple[float, float] | None = None
    test_speed: tuple[float, float] | None = None
    background: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in self.classes:
            if name not in CLASSES:
                raise ValueError(f"motion class {name!r} is not known{suggest(name, CLASSES)}")
        if len(set(self.classes)) != len(self.classes) or len(self.classes) < 2:
            raise ValueError(f"motion classes={self.classes} must be two or more different names")
        if min(self.train, self.val) < 1 or self.test < 0:
            counts = f"train={self.train} val={self.val} test={self.test}"
            raise ValueError(f"motion {counts}: train and val need 1 or more clips per class")
        if self.size < 32 or self.size % 2:
            raise ValueError(f"motion size={self.size} must be an even number from 32 on")
        if self.frames < 8:
            raise ValueError(f"motion frames={self.frames} must be at least 8")
        if self.fps < 1:
            raise ValueError(f"motion fps={self.fps} must be at least 1")
        for split in SPLITS:
            slow, fast = self.speed(split)
            if not 0 < slow <= fast <= 2:
                raise ValueError(
                    f"motion {split}_speed={slow, fast} must be 0 < slowest <= fastest <= 2 "
                    "rounds per clip; beyond that eight frames cannot tell directions apart"
                )
        if not 0 <= self.background <= 1:
            raise ValueError(f"motion background={self.background} must be a share from 0 to 1")
        if self.seed < 0:
            raise ValueError(f"motion seed={self.seed} must be 0 or more")

    def count(self, split: str) -> int:
        """Clips per class."""
        return {"train": self.train, "val": self.val, "test": self.test}[split]

    def speed(self, split: str) -> tuple[float, float]:
        """Slowest and fastest motion, in rounds per clip."""
        own = {"train": None, "val": self.val_speed, "test": self.test_speed}[split]
        return own or self.train_speed

    def clip(self, split: str, label: str, index: int) -> Clip:
        """Everything about one clip, from the seed, the split, the class and the index alone."""
        share = self.background if split == "train" else 0.0
        return Clip(
            label=label,
            key=(self.seed, SPLITS.index(split), CLASSES.index(label), index),
            size=self.size,
            frames=self.frames,
            fps=self.fps,
            speed=self.speed(split),
            own_ground=share,
            ground=self.classes.index(label),
            grounds=len(self.classes),
        )


def make_motion(
    spec: MotionSpec, out: Path | str, *, workers: int | None = None, shown: bool = True
) -> DataSplits:
    """Writes the videos: `out/train/left/00000.mp4`, ..., and a manifest of each split.

    A run that was stopped goes on where it was. A clip is either whole or not there.

    Args:
        spec: what to make; stored as `motion.json`.
        out: folder; made where it does not exist.
        workers: processes; None: one per core; 0: this one.
        shown: show the progress.

    Raises:
        ValueError: the folder holds videos of another specification.
    """
    splits = make_videos(
        Path(out),
        file=SPEC_FILE,
        content=to_plain(spec),
        classes=spec.classes,
        counts={split: spec.count(split) for split in SPLITS},
        draw=spec.clip,
        workers=workers,
        shown=shown,
    )
    return DataSplits(splits["train"], splits["val"], splits.get("test"))
