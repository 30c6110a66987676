"""Makes a folder of 60 class-sorted videos, ten of them damaged: something for `kinema data check`.

python benchmarks/damaged_folder.py damaged
kinema data check damaged
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from kinema.data.motion import MotionSpec, make_motion
from kinema.data.motion_render import write_clip

CLASSES = ("left", "right", "grow")
RNG = np.random.default_rng(0)


def cut(data: bytes) -> bytes:
    """The first 60 %."""
    return data[: len(data) * 6 // 10]


def flip(data: bytes) -> bytes:
    """300 bytes of the last three quarters changed."""
    damaged = np.frombuffer(data, np.uint8).copy()
    places = RNG.integers(len(data) // 4, len(data), 300)
    damaged[places] ^= RNG.integers(1, 256, 300, dtype=np.uint8)
    return damaged.tobytes()


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "zero bytes": lambda data: b"",
    "cut off": cut,
    "noise": lambda data: RNG.bytes(len(data)),
    "changed bytes": flip,
    "text": lambda data: b"<html><body>404 Not Found</body></html>\n",
    "its first 40 bytes": lambda data: data[:40],
    "a picture": lambda data: b"\x89PNG\r\n\x1a\n" + RNG.bytes(500),
}


def main(words: Sequence[str]) -> None:
    """Makes the folder and prints what was done to which file."""
    folder = Path(words[0])
    spec = MotionSpec(classes=CLASSES, train=14, val=3, test=3)
    make_motion(spec, folder, shown=False)
    for name in ("train.jsonl", "val.jsonl", "test.jsonl"):
        (folder / name).unlink()  # the folder is to be read as a user's, by its class folders
    files = sorted((folder / "train").rglob("*.mp4"))
    for path, (name, damage) in zip(files[::5], DAMAGES.items(), strict=False):
        path.write_bytes(damage(path.read_bytes()))
        print(f"{path.relative_to(folder)}: {name}")
    short = files[3]
    write_clip(replace(spec.clip("train", "left", 0), frames=1), short)
    print(f"{short.relative_to(folder)}: one frame")
    test = sorted((folder / "test").rglob("*.mp4"))
    copies = [
        (test[0], folder / "train" / test[0].parent.name / "copy of a test clip.mp4"),
        (files[8], folder / "train" / "left" / "copy under another label.mp4"),
    ]
    for source, copy in copies:
        shutil.copyfile(source, copy)
        print(f"{copy.relative_to(folder)}: {copy.stem} ({source.relative_to(folder)})")


if __name__ == "__main__":
    main(sys.argv[1:])
