"""Accuracy against the number of frames, and against what they cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from matplotlib.figure import Figure

from ...data import Manifest
from ...engine.held_out import held_out
from ...engine.pages import figure as digits
from ...engine.pages import percent
from ...models import VideoModel
from ..profile import profile
from .page import Section, titles, write_page, write_table
from .plots import Line, lines, write_plot
from .testing import Testing, chance

FRAMES = (4, 8, 16, 32, 64)


@dataclass(frozen=True, kw_only=True)
class FrameScore:
    """A model at one length of the clip; `why` it has no accuracy, where it has none.

    Attributes:
        model: short name.
        file: of the model.
        frames: of a clip.
        own: whether the model file states this length, as after training.
        gmacs: multiply-adds of one view, in units of 1e9.
        top1: accuracy.
        low: lower end of its 95 % interval over the videos.
        high: upper end.
        videos: of the test.
        protocol: of the test.
        why: the model's own words; "": it was tested.
    """

    model: str
    file: str
    frames: int
    own: bool
    gmacs: float = math.nan
    top1: float = math.nan
    low: float = math.nan
    high: float = math.nan
    videos: int
    protocol: str
    why: str = ""


def show_frames(
    files: Sequence[Path],
    data: str,
    out: Path,
    *,
    frames: Sequence[int] = FRAMES,
    split: str | None = None,
    testing: Testing | None = None,
) -> list[FrameScore]:
    """Tests model files at several lengths of the clip and draws accuracy against length and cost.

    Everything but the length stays as the model file states it: segments are as many parts of the
    whole video, a dense window gets longer at the same stride. Where a video has fewer frames, the
    model's sampler repeats some. A model that refuses a length (a pyramid whose rates need more
    frames) is told with its reason and does not stop the others.

    Args:
        files: model files.
        data: labelled videos.
        out: folder for frames.csv, frames.svg and .png, gmacs.svg and .png, page.html.
        frames: lengths.
        split: of the data; None: see `held_out`.
        testing: how; None: as `evaluate` does by default.

    Returns:
        One row per model and length, as in frames.csv.
    """
    names, testing = titles(files), testing or Testing()
    split, manifest = held_out(data, split)
    rows, guess = [], 0.0
    for name, file in zip(names, files, strict=True):
        model = testing.load(file, manifest)
        guess = chance(model, manifest)
        rows += [_score(name, file, model, manifest, count, testing) for count in frames]
    write_table(out / "frames.csv", [asdict(row) for row in rows])

    def by_frames(colours: Mapping[str, str]) -> Figure:
        found = [_line(rows, name, "frames") for name in names]
        return lines(found, colours, axis="frames of a clip", chance=guess, ticks=frames)

    def by_cost(colours: Mapping[str, str]) -> Figure:
        found = [_line(rows, name, "gmacs") for name in names]
        return lines(found, colours, axis="GMACs of one view", chance=guess)

    columns = ("model", "frames", "top-1", "95 % interval", "GMACs", "note")
    section = Section(
        heading="Accuracy against frames and cost",
        lead=f"Bands are 95 % intervals over the videos, large discs the length the model file "
        f"states, the dashed line is chance ({percent(guess)}). One view costs the GMACs told.",
        pictures=(write_plot(by_frames, out / "frames"), write_plot(by_cost, out / "gmacs")),
        columns=columns,
        rows=tuple(_cells(row) for row in rows),
    )
    write_page(
        out,
        kind="kinema show frames",
        title=manifest.name,
        subtitle=f"{len(manifest)} videos ({split}), {len(files)} model files",
        sections=[section],
    )
    return rows


def _score(
    name: str, file: Path, model: VideoModel, manifest: Manifest, frames: int, testing: Testing
) -> FrameScore:
    spec, protocol = model.spec.input, testing.protocol_of(model)
    row = FrameScore(
        model=name, file=str(file), frames=frames, own=frames == spec.frames,
        videos=len(manifest), protocol=protocol.name,
    )  # fmt: skip
    side = protocol.sides(spec)[1]
    try:
        cost = profile(model, (spec.channels, frames, side, side))
    except ValueError as error:  # the model's word on a clip that is too short for it
        return replace(row, why=str(error))
    found = testing.score(model, manifest, replace(spec, frames=frames)).metrics
    return replace(
        row, gmacs=cost.macs / 1e9, top1=found.top1, low=found.interval[0], high=found.interval[1]
    )


def _line(rows: Sequence[FrameScore], name: str, axis: str) -> Line:
    tested = [row for row in rows if row.model == name and not row.why]
    own = [row for row in tested if row.own]
    return Line(
        name=name,
        x=[getattr(row, axis) for row in tested],
        share=[row.top1 for row in tested],
        low=[row.low for row in tested],
        high=[row.high for row in tested],
        own=getattr(own[0], axis) if own else None,
    )


def _cells(row: FrameScore) -> tuple[str, ...]:
    if row.why:
        return row.model, str(row.frames), "\u2013", "", "", row.why
    interval = f"{percent(row.low)} to {percent(row.high)}"
    note = "as the model file states" if row.own else ""
    return row.model, str(row.frames), percent(row.top1), interval, digits(row.gmacs), note
