"""A checkup of a data set as files for people and programs: `check.html` and `check.json`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np

from ..data import Manifest, VideoError
from ..data.doctor import KINDS, MEANINGS, Checkup, Entry, Finding, Kind
from ..engine.mistakes import film_strip
from ..engine.pages import Tile, percent, render
from ..files import atomic
from ..plain import to_plain
from ..types import JSON, Record
from .forecast import Forecast

SHOWN = 24  # clips of one kind on the page
UNEVEN = 5.0  # largest class over smallest from which the page advises
TITLES: Mapping[Kind, str] = {
    "unreadable": "Unreadable",
    "duplicate": "Duplicates across splits",
    "leak": "Sources on both sides of a split",
    "short": "Too short",
    "twin": "Lookalikes within a split",
}


def write_check(checkup: Checkup, out: Path, source: str, outlook: Forecast | None) -> Path:
    """Writes `check.json` and the page, which is complete in itself; returns the page's path.

    Args:
        checkup: what was found.
        out: the folder the cleaned manifests are in.
        source: the data as the user named it.
        outlook: whether training will wait; None: not measured.
    """
    splits = _splits(checkup)
    findings: list[JSON] = [_finding(finding) for finding in checkup.findings]
    content: dict[str, JSON] = {
        "format": 1,
        "data": source,
        "frames_needed": checkup.needed,
        "splits": {str(row["split"]): row for row in splits},
        "classes": {str(row["label"]): row["counts"] for row in _classes(checkup)},
        "counts": {kind: len(checkup.of(kind)) for kind in KINDS},
        "dropped": len(checkup.dropped),
        "videos": dict(_facts(checkup.entries)),
        "forecast": None if outlook is None else _forecast(outlook),
        "findings": findings,
    }
    with atomic(out / "check.json") as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    classes = _classes(checkup)
    columns = list(zip(*(row["counts"] for row in classes), strict=True))
    text = render(
        "check.html.j2",
        kind="kinema data check",
        title=source,
        subtitle=f"{len(checkup.entries)} clips, {len(classes)} classes",
        figures=_tiles(checkup),
        verdict=_verdict(checkup),
        splits=splits,
        forecast=outlook.lines() if outlook else [],
        groups=[_group(kind, checkup.of(kind)) for kind in KINDS if checkup.of(kind)],
        classes=classes,
        largest=[max(column) for column in columns],
        balance=balance(checkup.clean),
        samples=_samples(checkup),
        facts=_facts(checkup.entries),
    )
    page = out / "check.html"
    with atomic(page) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return page


def balance(clean: Mapping[str, Manifest]) -> str:
    """How even the classes of the training data are, and which have no clip, in words."""
    if "train" not in clean:
        return ""
    manifest = clean["train"]
    counts = dict(zip(manifest.labels, manifest.counts, strict=True))
    empty = [label for label, count in counts.items() if not count]
    some = [count for count in counts.values() if count]
    text = ""
    if some:
        ratio = max(some) / min(some)
        text = f"Training has {min(some)} to {max(some)} clips per class (ratio {ratio:.1f})."
        if ratio > UNEVEN:
            text += " With balance=true every class is drawn equally often."
    for label in empty[:3]:
        text += f" {label} has no training clip."
    if len(empty) > 3:
        text += f" So have {len(empty) - 3} more."
    return text.strip()


def _splits(checkup: Checkup) -> list[dict[str, JSON]]:
    return [
        {
            "split": split,
            "before": len(checkup.parts[split]),
            "after": len(manifest),
            "file": f"{split}.jsonl",
            "fingerprint": manifest.fingerprint(),
        }
        for split, manifest in checkup.clean.items()
    ]


def _classes(checkup: Checkup) -> list[dict[str, JSON]]:
    """Label and counts by split, in the order of the labels."""
    labels = next(iter(checkup.parts.values())).labels
    counts = [manifest.counts for manifest in checkup.clean.values()]
    return [
        {"label": label, "counts": [count[index] for count in counts]}
        for index, label in enumerate(labels)
    ]


def _finding(finding: Finding) -> dict[str, JSON]:
    entry, other = finding.entry, finding.other
    return {
        "kind": finding.kind,
        "split": entry.split,
        "id": entry.record.id,
        "path": str(entry.record.path),
        "label": entry.label,
        "reason": finding.reason,
        "dropped": finding.dropped,
        "like": None if other is None else {"split": other.split, "id": other.record.id},
    }


def _forecast(outlook: Forecast) -> dict[str, JSON]:
    figures = {"clips_per_s": outlook.rate, "decode_share": outlook.share, "bound": outlook.bound}
    return {**cast(dict[str, JSON], to_plain(outlook)), **figures, "words": list(outlook.lines())}


def _tiles(checkup: Checkup) -> list[Tile]:
    entries, dropped = checkup.entries, len(checkup.dropped)
    hours = sum(entry.facts.seconds for entry in entries) / 3600
    count = {kind: len(checkup.of(kind)) for kind in KINDS}
    suspicious = sum(not finding.dropped for finding in checkup.findings)
    frames = sum(e.facts.frames for e in entries if not e.facts.error)
    clean = (len(entries) - dropped) / max(1, len(entries))
    return [
        Tile(name="Clips", value=f"{len(entries)}", note=f"{percent(clean)} clean", share=clean),
        Tile(name="Dropped", value=f"{dropped}", note=f"{count['unreadable']} unreadable"),
        Tile(name="Duplicates", value=f"{count['duplicate']}", note="across splits"),
        Tile(name="To look at", value=f"{suspicious}", note="findings on clips that are kept"),
        Tile(name="Footage", value=_duration(hours), note=f"{frames:,} frames, all decoded"),
    ]


def _duration(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.1f} min"


def _verdict(checkup: Checkup) -> dict[str, str]:
    dropped = len(checkup.dropped)
    kept = sum(len(part) for part in checkup.clean.values())
    if not checkup.findings:
        return {
            "title": "Nothing is wrong with this data",
            "text": f"All {kept} clips decode to their last frame.",
        }
    text = f"{kept} clips are clean; dropped.csv lists the others with the reasons."
    return {"title": f"{dropped} of {len(checkup.entries)} clips were dropped", "text": text}


def _group(kind: Kind, findings: Sequence[Finding]) -> dict[str, object]:
    shown = findings[:SHOWN]
    return {
        "kind": kind,
        "title": TITLES[kind],
        "meaning": MEANINGS[kind][0].upper() + MEANINGS[kind][1:],
        "count": len(findings),
        "dropped": findings[0].dropped,
        "clips": [
            {
                "id": finding.entry.record.id,
                "split": finding.entry.split,
                "label": finding.entry.label,
                "reason": finding.reason.replace(f"{finding.entry.record.path}", "file"),
                "looks": [_look(one) for one in (finding.entry, finding.other) if one],
            }
            for finding in shown
        ],
    }


def _samples(checkup: Checkup) -> list[dict[str, object]]:
    """A readable clip of each class that has one: the middle one."""
    kept = {(s, record.id) for s, part in checkup.clean.items() for record in part.records}
    by_label: dict[str, list[Entry]] = {}
    for entry in checkup.entries:
        if (entry.split, entry.record.id) in kept and not entry.facts.error:
            by_label.setdefault(entry.label, []).append(entry)
    return [
        {"label": label, "look": _look(entries[len(entries) // 2])}
        for label, entries in sorted(by_label.items())
    ]


def _look(entry: Entry) -> dict[str, str]:
    """Four frames of what can be shown: all of the stretch, or what comes before the damage."""
    record, facts = entry.record, entry.facts
    look = {"id": record.id, "strip": "", "note": "no picture can be shown"}
    if facts.error and not facts.frames:
        return look
    seconds = facts.seconds if not facts.error else (facts.frames - 1) / facts.fps
    try:
        look["strip"] = film_strip(record.path, record.start, record.start + seconds)
    except (VideoError, OSError):
        look["strip"] = _first_frame(record)
    return look


def _first_frame(record: Record) -> str:
    try:
        return film_strip(record.path, record.start, record.start)
    except (VideoError, OSError):
        return ""


def _facts(entries: Sequence[Entry]) -> list[tuple[str, str]]:
    """Lengths, sizes and rates of the readable videos, the most frequent first."""
    good = [entry.facts for entry in entries if not entry.facts.error]
    if not good:
        return []

    def span(values: Sequence[float], unit: str, digits: int) -> str:
        low, mid, high = np.percentile(values, (0, 50, 100))
        return f"{low:.{digits}f} to {high:.{digits}f} {unit}, median {mid:.{digits}f}"

    def common(values: Sequence[str]) -> str:
        found = Counter(values)
        listed = [f"{value} ({count})" for value, count in found.most_common(6)]
        return ", ".join(listed) + (f" and {len(found) - 6} more" if len(found) > 6 else "")

    return [
        ("length", span([f.seconds for f in good], "s", 1)),
        ("frames", span([f.frames for f in good], "frames", 0)),
        ("frames per second", common([f"{f.fps:g}" for f in good])),
        ("picture", common([f"{f.width}x{f.height}" for f in good])),
        ("files", f"{sum(f.bytes for f in good) / 2**20:.1f} MiB"),
    ]
