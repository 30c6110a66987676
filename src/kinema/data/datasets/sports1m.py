"""Sports-1M (Karpathy et al., CVPR 2014) in its official layout: videos with one or more labels."""

from __future__ import annotations

import re
from pathlib import Path

from ..manifest import Manifest
from ._clips import Clips, need_file, need_list
from ._registry import register_dataset
from ._rows import Row, numbered_lines, read_names, to_manifest

LIST_FOLDERS = ("", "original")
LISTS = {"train": ["train_partition.txt"], "test": ["test_partition.txt"]}
LINE = re.compile(r"(?P<url>\S+) (?P<numbers>\d+(?:,\d+)*)")
VIDEO_ID = re.compile(r"(?:[?&]v=|youtu\.be/)(?P<id>[\w-]+)", re.ASCII)


@register_dataset("sports1m")
def sports1m(root: Path, split: str) -> Manifest:
    """`train_partition.txt` and `test_partition.txt` with `<address> <number>,<number>`.

    The numbers are lines of `labels.txt`, the first is 0. The lists lie in `root` or
    `root/original`. A video is `<youtube id>.mp4` in `root/videos/<split>`, `root/<split>`,
    `root/videos` or `root`; those that are not there are left out, since many links are dead, and
    the name of the manifest says how many there are.
    """
    path = need_list("sports1m", root, split, LISTS, LIST_FOLDERS)
    labels = read_names(need_file(root, ["labels.txt"], LIST_FOLDERS))
    rows, faults = [], []
    for line, text in numbered_lines(path):
        match = LINE.fullmatch(text)
        video = VIDEO_ID.search(match["url"]) if match else None
        if match is None or video is None:
            rule = "'<address of a YouTube video> <label>,<label>'"
            faults.append(f"line {line} must be {rule}, it is {text!r}")
            continue
        numbers = [int(number) for number in match["numbers"].split(",")]
        if max(numbers) >= len(labels):
            faults.append(f"line {line}: label {max(numbers)} is not in 0..{len(labels) - 1}")
            continue
        names = tuple(labels[number] for number in numbers)
        rows.append(
            Row(where=f"line {line}", names=(video["id"],), labels=names, group=video["id"])
        )
    clips = Clips(root, (f"videos/{split}", split, "videos", "rawframes", ""))
    name = f"sports1m/{split}"
    return to_manifest(name, path, rows, labels, clips, faults=faults, incomplete=True)
