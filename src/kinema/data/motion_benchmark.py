"""The motion benchmark on disk: a folder of videos, a manifest per split, and what they are for.

The definitions are in `motion_definitions`; how the videos are drawn is in `motion_paths`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from ..plain import from_plain, to_plain
from ..registry import suggest
from ..types import JSON
from .motion_definitions import BENCHMARKS, Condition, Definition, Part, benchmark
from .motion_files import make_videos
from .motion_paths import Clip

__all__ = [
    "BENCHMARKS",
    "SIZES",
    "BenchmarkInfo",
    "Condition",
    "Definition",
    "Size",
    "benchmark",
    "describe",
    "make_benchmark",
    "read_benchmark",
]

INFO_FILE = "benchmark.json"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much there is of a definition, and what a model may spend on it.

    Attributes:
        pixels: side of the square picture.
        train: clips per class.
        val: clips per class.
        test: clips per class, in `test` and in every further split.
        recipe: name of the recipe that is the budget.
    """

    pixels: int
    train: int
    val: int
    test: int
    recipe: str

    def clips(self, split: str) -> int:
        """Clips per class of a split."""
        return {"train": self.train, "val": self.val}.get(split, self.test)


# Clips are many beside the steps: with few, networks learn them by heart and not their motion.
SIZES: Mapping[str, Size] = {
    "tiny": Size(pixels=48, train=400, val=25, test=64, recipe="motion_tiny"),
    "small": Size(pixels=80, train=1300, val=50, test=125, recipe="motion_small"),
    "full": Size(pixels=112, train=5000, val=100, test=250, recipe="motion_full"),
}


@dataclass(frozen=True, kw_only=True)
class BenchmarkInfo:
    """What the videos of a folder are, and how to test on them.

    Attributes:
        name: of the definition.
        version: of the definition; numbers under different versions are not comparable.
        size: a name of `SIZES`.
        claim: what the definition is aimed at.
        source: who claims it.
        classes: names.
        chance: accuracy of guessing.
        ceiling: the best accuracy, under the first condition, that a method can expect which does
            not see the order of frames.
        recipe: name of the recipe that is the budget of this size.
        conditions: tests by name; the first is the one a single number is given for.
        pixels: side of the square picture.
        frames: of a video.
        clips: of each split, all classes together.
        drawn: how each split is drawn.
    """

    name: str
    version: int
    size: str
    claim: str
    source: str
    classes: tuple[str, ...]
    chance: float
    ceiling: float
    recipe: str
    conditions: Mapping[str, Condition]
    pixels: int
    frames: int
    clips: Mapping[str, int]
    drawn: Mapping[str, Part]


def describe(name: str, size: str) -> BenchmarkInfo:
    """What a folder of this definition and size holds.

    Raises:
        ValueError: for a name or a size that is not known.
    """
    definition, measure = benchmark(name), _size(size)
    classes = definition.classes
    return BenchmarkInfo(
        name=name,
        version=definition.version,
        size=size,
        claim=definition.claim,
        source=definition.source,
        classes=classes,
        chance=1 / len(classes),
        ceiling=next(iter(definition.conditions.values())).ceiling,
        recipe=measure.recipe,
        conditions=definition.conditions,
        pixels=measure.pixels,
        frames=definition.frames,
        clips={split: len(classes) * measure.clips(split) for split in definition.parts},
        drawn=definition.parts,
    )


def make_benchmark(
    name: str, size: str, out: Path | str, *, workers: int | None = None, shown: bool = True
) -> Path:
    """Writes the videos of a definition, a manifest of each split, and `benchmark.json`.

    A run that was stopped goes on where it was; a finished folder is left as it is.

    Args:
        name: of `BENCHMARKS`.
        size: of `SIZES`.
        out: folder; made where it does not exist.
        workers: processes; None: one per core; 0: this one.
        shown: show the progress.

    Returns:
        The folder.

    Raises:
        ValueError: for a name or size that is not known, and for a folder with other videos.
    """
    definition, measure, out = benchmark(name), _size(size), Path(out)

    def draw(split: str, label: str, index: int) -> Clip:
        return definition.clip(split, label, index, pixels=measure.pixels)

    make_videos(
        out,
        file=INFO_FILE,
        content={"format": FORMAT} | cast(dict[str, JSON], to_plain(describe(name, size))),
        classes=definition.classes,
        counts={split: measure.clips(split) for split in definition.parts},
        draw=draw,
        workers=workers,
        shown=shown,
    )
    return out


def read_benchmark(folder: Path | str) -> BenchmarkInfo:
    """What `make_benchmark` wrote into a folder.

    Raises:
        ValueError: the folder holds no benchmark, or one of another format.
    """
    file = Path(folder) / INFO_FILE
    if not file.is_file():
        raise ValueError(
            f"{folder} holds no {INFO_FILE}; kinema data make {folder} --benchmark order makes one"
        )
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
            raise ValueError(f"format must be {FORMAT}")
        return from_plain(BenchmarkInfo, content)
    except ValueError as error:
        raise ValueError(f"{file} is not a motion benchmark of this version: {error}") from None


def _size(name: str) -> Size:
    if name not in SIZES:
        raise ValueError(
            f"benchmark size {name!r} must be one of {', '.join(SIZES)}{suggest(name, SIZES)}"
        )
    return SIZES[name]
