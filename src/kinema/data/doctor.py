"""What is wrong with a data set, and the part of it that can be trusted."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from ..files import atomic
from ..types import InputSpec, Record
from .datasets import read_parts
from .examine import Facts, examine_all
from .likeness import alike
from .manifest import Manifest
from .sampling import frames_per_step
from .splitting import COUNTED_STEM, sources

Kind = Literal["unreadable", "duplicate", "leak", "short", "twin"]
KINDS: tuple[Kind, ...] = get_args(Kind)
DROPPED: tuple[Kind, ...] = ("unreadable", "duplicate")  # by default
MEANINGS: Mapping[Kind, str] = {
    "unreadable": "cannot be decoded to the last frame",
    "duplicate": "looks like a clip of a split that is tested on",
    "leak": "its source has clips in a split that is tested on",
    "short": "has fewer frames than a clip spans, so that frames repeat",
    "twin": "looks like a clip of another source or class in the same split",
}
SPLITS = ("train", "val", "test")  # the later ones are kept where one of two clips has to go
CACHE = "examined.jsonl"
COLUMNS = ("split", "id", "path", "label", "kind", "reason")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A record, where it stands and what is known of it."""

    split: str
    record: Record
    label: str
    facts: Facts


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something about one clip that a user should know.

    Attributes:
        kind: see `MEANINGS`.
        entry: the clip.
        reason: in words, with the numbers.
        other: the clip it looks like, if it is about two.
        dropped: whether the clip is left out of the cleaned data.
    """

    kind: Kind
    entry: Entry
    reason: str
    other: Entry | None = None
    dropped: bool = False


@dataclass(frozen=True, kw_only=True)
class Checkup:
    """The outcome for a data set.

    Attributes:
        parts: the manifests as they were, by split; train, val and test come first.
        entries: every record.
        findings: in the order of `KINDS`.
        clean: the manifests without what was dropped.
        needed: frames that a clip should have.
    """

    parts: Mapping[str, Manifest]
    entries: tuple[Entry, ...]
    findings: tuple[Finding, ...]
    clean: Mapping[str, Manifest]
    needed: int

    @property
    def dropped(self) -> list[Finding]:
        """One finding per dropped clip, the first that it was dropped for."""
        first = {(f.entry.split, f.entry.record.id): f for f in self.findings[::-1] if f.dropped}
        order = list(self.parts)
        return sorted(first.values(), key=lambda f: (order.index(f.entry.split), f.entry.record.id))

    def of(self, kind: Kind) -> list[Finding]:
        """The findings of one kind."""
        return [finding for finding in self.findings if finding.kind == kind]


def check_data(
    source: str | Path,
    out: Path | str,
    spec: InputSpec,
    *,
    drop: Collection[Kind] = DROPPED,
    workers: int | None = None,
    shown: bool = True,
) -> Checkup:
    """Decodes every video of every split, looks for trouble, and writes what can be trusted.

    A pass that was stopped goes on where it was, and one over changed data looks at the changed
    files only.

    Args:
        source: as `load_data` takes it; empty and damaged files are no error here.
        out: gets a manifest of each split (`train.jsonl`, ...) without the dropped clips,
            `dropped.csv` with the reasons, and the results per file.
        spec: decides which clips are too short.
        drop: kinds of findings whose clips are left out.
        workers: processes; None: one per core; 0: this one.
        shown: show the progress.

    Raises:
        ManifestError: for lists that cannot be read, or name files that are not there.
        ValueError: for a source that is none of the known, or an unknown kind.
    """
    unknown = [kind for kind in drop if kind not in KINDS]
    if unknown:
        raise ValueError(f"drop {unknown[0]!r} must be one of {', '.join(KINDS)}")
    out, found = Path(out), read_parts(source)
    parts = {split: found[split] for split in (*SPLITS, *found) if split in found}
    records = [(split, record) for split, part in parts.items() for record in part.records]
    facts = examine_all([r for _, r in records], out / CACHE, workers=workers, shown=shown)
    entries = tuple(
        Entry(split=split, record=record, label=_label(parts[split], record), facts=found)
        for (split, record), found in zip(records, facts, strict=True)
    )
    needed = frames_spanned(spec)
    findings = tuple(
        replace(finding, dropped=finding.kind in drop)
        for finding in sorted(_findings(entries, needed), key=lambda f: KINDS.index(f.kind))
    )
    checkup = Checkup(
        parts=parts,
        entries=entries,
        findings=findings,
        clean=_without(parts, findings),
        needed=needed,
    )
    _write(checkup, out)
    return checkup


def frames_spanned(spec: InputSpec) -> int:
    """Frames a video must have for a training clip without repeated ones."""
    apart = spec.stride if spec.sampling == "dense" else 1
    return (spec.frames - 1) * apart + frames_per_step(spec)


def _label(manifest: Manifest, record: Record) -> str:
    known = sorted(manifest.labels[i] for i in record.labels if 0 <= i < manifest.num_classes)
    return ", ".join(known)


def _findings(entries: Sequence[Entry], needed: int) -> Iterator[Finding]:
    for entry in entries:
        if entry.facts.error:
            yield Finding(kind="unreadable", entry=entry, reason=entry.facts.error)
    good = [entry for entry in entries if not entry.facts.error]
    for entry in good:
        if entry.facts.frames < needed:
            reason = f"{entry.facts.frames} of the {needed} frames that a clip spans"
            yield Finding(kind="short", entry=entry, reason=reason)
    told = _told_sources(good)
    yield from _copies(good, told)
    yield from _leaks(good, told)


def _told_sources(entries: Sequence[Entry]) -> list[str | None]:
    """The source of each clip; None where neither a group nor the name tells one.

    A name that only counts clips (`00012.mp4`, `clip_3.mp4`) says nothing about another split.
    """
    told: list[str | None] = []
    for source in sources([entry.record for entry in entries]):
        how, _, name = source.partition(" ")
        counted = COUNTED_STEM.fullmatch(name)
        silent = how == "clip" or (how == "name" and counted and not counted.group("source"))
        told.append(None if silent else source)
    return told


def _copies(entries: Sequence[Entry], told: Sequence[str | None]) -> Iterator[Finding]:
    """Clips that look the same: across splits, or of different sources or classes in one."""
    if not entries:
        return
    codes = np.asarray([entry.facts.code for entry in entries], dtype=np.uint64)
    seconds = np.asarray([entry.facts.seconds for entry in entries])
    closest: dict[int, tuple[int, int]] = {}
    for i, j, bits in alike(codes, seconds):
        one, two = entries[i], entries[j]
        if one.split != two.split:  # the earlier split gives way
            closest[i] = min(closest.get(i, (bits, j)), (bits, j))
        elif one.label != two.label or (told[i] is not None and told[i] != told[j]):
            closest.setdefault(i, (bits, j))
    for i, (bits, j) in sorted(closest.items()):
        one, two = entries[i], entries[j]
        reason = f"looks like {two.record.id} of {two.split} ({bits} of 256 bits differ)"
        if one.label != two.label:
            reason += f", which is labelled {two.label!r} and this {one.label!r}"
        kind: Kind = "twin" if one.split == two.split else "duplicate"
        yield Finding(kind=kind, entry=one, reason=reason, other=two)


def _leaks(entries: Sequence[Entry], told: Sequence[str | None]) -> Iterator[Finding]:
    """Clips whose source also has clips in a later split."""
    splits = list(dict.fromkeys(entry.split for entry in entries))
    spread_over: dict[str, Counter[str]] = defaultdict(Counter)
    for entry, source in zip(entries, told, strict=True):
        if source is not None:
            spread_over[source][entry.split] += 1
    for entry, source in zip(entries, told, strict=True):
        if source is None:
            continue
        later = splits[splits.index(entry.split) + 1 :]
        others = [f"{n} in {split}" for split in later if (n := spread_over[source][split])]
        if others:
            reason = f"{_spoken(source)} also has {' and '.join(others)}"
            yield Finding(kind="leak", entry=entry, reason=reason)


def _spoken(source: str) -> str:
    how, _, name = source.partition(" ")
    return f"source {name!r} ({'as given' if how == 'group' else 'told from the name'})"


def _without(parts: Mapping[str, Manifest], findings: Sequence[Finding]) -> dict[str, Manifest]:
    gone = {(f.entry.split, id(f.entry.record)) for f in findings if f.dropped}
    return {
        split: replace(part, records=tuple(r for r in part.records if (split, id(r)) not in gone))
        for split, part in parts.items()
    }


def _write(checkup: Checkup, out: Path) -> None:
    for split in SPLITS:  # of an earlier pass over other data
        (out / f"{split}.jsonl").unlink(missing_ok=True)
    for split, manifest in checkup.clean.items():
        manifest.save(out / f"{split}.jsonl")
    with (
        atomic(out / "dropped.csv") as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for finding in checkup.dropped:
            entry = finding.entry
            row = [entry.split, entry.record.id, entry.record.path, entry.label]
            writer.writerow([*row, finding.kind, finding.reason])
