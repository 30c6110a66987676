"""Takes a validation set from training data, with the clips of one source on one side.

Clips cut from one recording look alike; where they lie on both sides, a validation score says how
well a model remembers, not how well it recognises.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from ..types import Record
from .manifest import Manifest

# v_BabyCrawling_g01_c02 -> v_BabyCrawling_g01 (UCF); hug_12 -> hug; match3-007 -> match3
UCF_STEM = re.compile(r"(?P<source>.+_g\d+)_c\d+")
COUNTED_STEM = re.compile(r"(?P<source>.*?)[ _.-]*(?:clip|part|seg|c|s)?[ _-]*\d+", re.IGNORECASE)


def source_of(name: str) -> str:
    """The source a clip was cut from, told from its file's name (with or without ending).

    `..._g01_c02` belongs to `..._g01`; otherwise a number at the end counts the clips of a source,
    with `clip`, `part`, `seg`, `c` or `s` before it or without. A name that is nothing but a number
    is its own source.
    """
    stem = name.rsplit("/", 1)[-1]
    stem = re.sub(r"\.[A-Za-z][A-Za-z0-9]{1,4}$", "", stem)
    match = UCF_STEM.fullmatch(stem) or COUNTED_STEM.fullmatch(stem)
    return (match.group("source") if match else "") or stem


def sources(records: Sequence[Record]) -> list[str]:
    """One source per record: its group, or what its name tells.

    A stem that covers whole classes only (`clip_001`, `clip_002`, ... in every folder) numbers the
    clips and names no source; then each clip is its own.
    """
    told = [source_of(record.path.name) for record in records]
    totals = Counter(label for record in records for label in _classes(record))
    within: dict[str, Counter[int | None]] = defaultdict(Counter)
    for record, source in zip(records, told, strict=True):
        within[source].update(_classes(record))
    numbering = {
        source
        for source, counts in within.items()
        if all(counts[label] == totals[label] for label in counts)
    }
    return [
        f"group {record.group}"
        if record.group is not None
        else (f"clip {record.id}" if source in numbering else f"name {source}")
        for record, source in zip(records, told, strict=True)
    ]


def split_by_source(
    manifest: Manifest, share: float, *, seed: int = 0
) -> tuple[Manifest, Manifest]:
    """(training, validation): about `share` of each class in validation, no source on both sides.

    Rare classes choose first. A class whose clips are all of one source stays in training. The
    result depends on the seed and the records, not on their order.

    Raises:
        ValueError: for a share that is not between 0 and 1, or data too small to be split.
    """
    if not 0 < share < 1:
        raise ValueError(f"val_share={share} must be between 0 and 1")
    told = sources(manifest.records)
    members: dict[str, Counter[int | None]] = defaultdict(Counter)
    for record, source in zip(manifest.records, told, strict=True):
        members[source].update(_classes(record))
    totals = Counter(label for record in manifest.records for label in _classes(record))
    chosen = _choose(members, totals, share, seed)
    if not chosen:
        raise ValueError(
            f"{manifest.name}: no validation set can be taken from it: every class has one source "
            "of clips only; add clips of other sources, or a val folder"
        )
    sides = {False: "train", True: "val"}
    train, val = (
        replace(
            manifest,
            name=f"{manifest.name}/{name}",
            records=tuple(
                record
                for record, source in zip(manifest.records, told, strict=True)
                if (source in chosen) is side
            ),
        )
        for side, name in sides.items()
    )
    return train, val


def _classes(record: Record) -> tuple[int | None, ...]:
    """The classes a record counts for; those without a label are a class of their own."""
    return record.labels or (None,)


def _choose(
    members: dict[str, Counter[int | None]],
    totals: Counter[int | None],
    share: float,
    seed: int,
) -> set[str]:
    """The sources that go to validation."""
    order = sorted(members, key=lambda source: hashlib.sha256(f"{seed} {source}".encode()).digest())
    left = Counter(label for counts in members.values() for label in counts)  # sources in training
    taken: Counter[int | None] = Counter()
    chosen: set[str] = set()
    for label, total in sorted(totals.items(), key=lambda item: (item[1], str(item[0]))):
        goal = max(1, round(share * total))
        for source in order:
            if taken[label] >= goal:
                break
            counts = members[source]
            if source in chosen or not counts[label] or any(left[each] < 2 for each in counts):
                continue
            # not the source that would overshoot by more than it brings, unless nothing is there
            if taken[label] and taken[label] + counts[label] - goal > goal - taken[label]:
                continue
            chosen.add(source)
            for each, count in counts.items():
                taken[each] += count
                left[each] -= 1
    return chosen
