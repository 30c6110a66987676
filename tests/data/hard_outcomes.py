"""What the readers make of the hard files: for the tests, and for docs/hard-files.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from kinema.data.readers import Decoder, VideoError, open_reader
from kinema.types import Record

from .hard_files import number_in

RATE = 25  # frames per second of the files
BYTES = 3  # that are changed in a file
LOOKS = 12  # frames that are asked of a changed file
SAME = 1.0  # grey levels that a frame may be off on average: a picture that is whole is off by 0


@dataclass(frozen=True)
class Outcome:
    """What a reader made of a file.

    Attributes:
        count: frames it says there are; None: it did not open the file.
        right: frames that were the right ones.
        refused: indices of frames that were refused with a `VideoError`.
        wrong: (index, number seen) of frames that showed another number, or None.
        cause: the first error's text, without the path.
    """

    count: int | None
    right: int
    refused: tuple[int, ...]
    wrong: tuple[tuple[int, int | None], ...]
    cause: str

    def __str__(self) -> str:
        """A cell of the table."""
        if self.count is None:
            return f"refused: {self.cause}"
        text = f"{self.right} of {self.count} right"
        if self.refused:
            text += f", {len(self.refused)} refused: {self.cause}"
        others = sum(number is not None for _, number in self.wrong)
        if others:
            text += f", {others} with another number"
        if len(self.wrong) > others:
            text += f", {len(self.wrong) - others} with damaged pixels"
        return text


def outcome(path: Path, first: int, decoder: Decoder) -> Outcome:
    """Asks for every frame, last ones first, each alone.

    A frame is the right one if it is the one with its index, or, where packets were lost, the one
    that is shown at its time.
    """
    try:
        reader = open_reader(Record("hard", path, 0), decoder=decoder)
    except VideoError as error:
        return Outcome(None, 0, (), (), _cause(error, path, None))
    right, refused, wrong, cause = 0, [], [], ""
    with closing(reader):
        for index in reversed(range(len(reader))):
            try:
                number = number_in(reader.read([index])[0])
            except VideoError as error:
                refused.append(index)
                cause = _cause(error, path, index)
                continue
            timed = round(float(reader.times([index])[0]) * RATE)
            if number is not None and number - first in (index, timed):
                right += 1
            else:
                wrong.append((index, number))
        return Outcome(len(reader), right, tuple(refused), tuple(wrong), cause)


def flip(path: Path, seeds: Iterable[int], decoder: Decoder = "pyav") -> Counter[str]:
    """Reads copies of a file, in each of which some bytes are others.

    Args:
        path: a good file of the coded frames.
        seeds: one copy for each.
        decoder: what reads them.

    Returns:
        How many files there were, how many frames were `asked` for, and of those how many were
        `right`, `refused`, had wrong `pixels`, or were `other` frames than the one asked for; such
        that are shown at its time count as right.
    """
    with closing(open_reader(Record("good", path, 0))) as reader:
        good = reader.read(range(len(reader))).float()  # (T, 3, H, W)
    content, twin = path.read_bytes(), path.with_stem("flipped")
    seen: Counter[str] = Counter(files=0, asked=0, right=0, refused=0, pixels=0, other=0)
    for seed in seeds:
        rng = np.random.default_rng(seed)
        changed = bytearray(content)
        for at in rng.integers(0, len(content), BYTES):
            changed[at] ^= int(rng.integers(1, 256))
        twin.write_bytes(changed)
        looks = rng.integers(0, len(good), LOOKS).tolist()
        seen.update(files=1, asked=LOOKS)
        try:
            reader = open_reader(Record("flipped", twin, 0), decoder=decoder)
        except VideoError as error:
            _cause(error, twin, None)
            seen["refused"] += LOOKS
            continue
        with closing(reader):
            seen.update(_judge(reader.read, reader.times, index, good, twin) for index in looks)
    return seen


def _judge(read, times, index: int, good: torch.Tensor, path: Path) -> str:
    try:
        frame = read([index])[0]
    except VideoError as error:
        _cause(error, path, index)
        return "refused"
    timed = round(float(times([index])[0]) * RATE)
    wanted = [good[i] for i in {index, timed} if i < len(good)]
    if any(w.shape == frame.shape and (w - frame).abs().mean() < SAME for w in wanted):
        return "right"
    number = number_in(frame)
    return "pixels" if number in (None, index, timed) else "other"


def _cause(error: VideoError, path: Path, index: int | None) -> str:
    if (error.path, error.frame) != (str(path), index) or not error.cause:
        raise AssertionError(f"{error!r} must name {path}, frame {index} and a cause")
    return error.cause
