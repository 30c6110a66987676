"""Accuracy against playback rate, and which classes gain by a second model.

After TPN, arXiv:2004.03548, figures 5 and 4.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ...data import Decoder, Manifest
from ...data.readers import VideoError, open_reader
from ...engine.held_out import held_out
from ...engine.metrics import per_class, truth_of
from ...engine.pages import figure as digits
from ...engine.pages import percent, points
from ...engine.scores import Evaluation
from ...models import VideoModel
from ...progress import Progress
from ...types import Record
from .page import Section, titles, write_page, write_table
from .plots import HUES, Line, lines, write_plot
from .testing import Testing, chance

RATES = (2, 4, 6, 8, 10, 12, 14, 16)
PAIRS = 16  # of neighbouring frames, spread over a video, that its tempo is measured on
SIDE = 64  # short side in pixels of the frames it is measured on
STILL = 1e-3  # tempo, per second, below which a video stands still
NAMED = 24  # classes at most that are named in a plot


@dataclass(frozen=True, kw_only=True)
class RateScore:
    """A model at one playback rate.

    Attributes:
        model: short name.
        file: of the model.
        rate: frames of the video from one frame of the clip to the next.
        own: the rate the model was made for, see `own_rate`.
        top1: accuracy.
        low: lower end of its 95 % interval over the videos.
        high: upper end.
        videos: of the test.
        short: videos with fewer frames than the clip spans, which begin again in it.
        protocol: of the test.
    """

    model: str
    file: str
    rate: int
    own: float
    top1: float
    low: float
    high: float
    videos: int
    short: int
    protocol: str


@dataclass(frozen=True, kw_only=True)
class ClassGain:
    """What a second model is better at: a class, tested as each model file states.

    Attributes:
        label: of the class.
        videos: that could be read.
        variance: of the tempo, see `tempo`; nan with fewer than two videos.
        first: recall of the first model.
        second: recall of the second one.
        gain: of the second over the first.
    """

    label: str
    videos: int
    variance: float
    first: float
    second: float
    gain: float


@dataclass(frozen=True, kw_only=True)
class TempoReport:
    """What `show_tempo` found; `classes` with two models only, the largest variance first."""

    rates: tuple[RateScore, ...]
    classes: tuple[ClassGain, ...] = ()


@dataclass(frozen=True)
class Motion:
    """Frames of a video, and its tempo per second."""

    frames: int
    tempo: float


def show_tempo(
    files: Sequence[Path],
    data: str,
    out: Path,
    *,
    rates: Sequence[int] = RATES,
    split: str | None = None,
    testing: Testing | None = None,
) -> TempoReport:
    """Tests one or two model files at several playback rates; two are compared class by class.

    A clip at rate r is T frames that are r frames of the video apart (dense sampling of stride r):
    the same number of frames sees a motion r times as fast as the camera did. A model trained at
    one stride (`8x8`) is tested at `8 x r`, as in figure 5 of the paper.

    Models that take their frames from segments of the whole video are shown the same windows. To
    leave out frames of the video before cutting it into segments would change nothing: T frames
    spread over the whole look the same however fast it is played. Such a model was trained at about
    (frames of the video) / T, which `own_rate` takes of the middle video.

    A window longer than the video begins again at its start, as everywhere in dense sampling, which
    puts a jump into the clip; `short` counts these videos, and values with any are drawn hollow.

    Args:
        files: one or two model files.
        data: labelled videos.
        out: folder for tempo.csv, tempo.svg and .png, page.html; with two models classes.csv,
            gain.svg and .png.
        rates: frames of the video from one frame of the clip to the next.
        split: of the data; None: see `held_out`.
        testing: how; None: as `evaluate` does by default.

    Raises:
        ValueError: for more than two models, and two with different labels.
        VideoError: for flow stored in a folder, whose tempo cannot be told (and for a video that
            cannot be read).
    """
    if not 1 <= len(files) <= 2:
        raise ValueError(f"show tempo takes one model file or two, not {len(files)}")
    names, testing = titles(files), testing or Testing()
    split, manifest = held_out(data, split)
    models = [testing.load(file, manifest) for file in files]
    _check(models, names)
    motions = measure(manifest, testing)
    rows = [
        _score(name, file, model, manifest, motions, rate, testing)
        for name, file, model in zip(names, files, models, strict=True)
        for rate in rates
    ]
    write_table(out / "tempo.csv", [asdict(row) for row in rows])
    guess = chance(models[0], manifest)

    def curve(colours: Mapping[str, str]) -> Figure:
        axis = "playback rate: frames from one to the next of a clip"
        found = [_line([row for row in rows if row.model == name]) for name in names]
        return lines(found, colours, axis=axis, chance=guess, ticks=rates)

    sections = [_curve_section(rows, write_plot(curve, out / "tempo"), guess)]
    classes: tuple[ClassGain, ...] = ()
    if len(files) == 2:
        first, second = (testing.score(m, manifest, m.spec.input) for m in models)
        classes = gains(first, second, models, motions)
        write_table(out / "classes.csv", [asdict(row) for row in classes])

        def scatter(colours: Mapping[str, str]) -> Figure:
            return gain_plot(classes, colours)

        sections.append(_gain_section(classes, names, write_plot(scatter, out / "gain")))
    write_page(
        out,
        kind="kinema show tempo",
        title=" against ".join(reversed(names)),
        subtitle=f"{len(manifest)} videos of {manifest.name} ({split})",
        sections=sections,
    )
    return TempoReport(rates=tuple(rows), classes=classes)


def tempo(record: Record, decoder: Decoder = "pyav") -> Motion:
    """How fast a video changes, and how many frames it has.

    Between neighbouring frames, at `PAIRS` places spread over the video: the mean absolute
    difference of pixels, divided by the mean absolute distance of pixels from their picture's mean,
    so that contrast does not count; the mean of these, times frames per second.

    Deviation: how the paper measures tempo for its figure 4 was not at hand. The variance of a
    class is here that of log2 of this tempo over its videos: 1 where videos are typically a factor
    of two from their mean. It counts the camera's motion too.

    Raises:
        VideoError: for a video that cannot be read.
    """
    with closing(open_reader(record, short_side=SIDE, decoder=decoder)) as reader:
        count = len(reader)
        if count < 2:
            return Motion(count, STILL)
        places = np.unique(np.linspace(0, count - 2, PAIRS).astype(int))
        pictures = reader.read(np.stack([places, places + 1], axis=1).ravel().tolist())
        fps = reader.fps
    pairs = pictures.float().mean(1).unflatten(0, (-1, 2))  # (P, 2, H, W) grey
    change = (pairs[:, 1] - pairs[:, 0]).abs().mean((1, 2))
    contrast = (pairs - pairs.mean((2, 3), keepdim=True)).abs().mean((1, 2, 3))
    return Motion(count, max(float((change / contrast.clamp_min(1.0)).mean()) * fps, STILL))


def measure(manifest: Manifest, testing: Testing) -> dict[str, Motion]:
    """The tempo of every video by its id; without those that a test may skip."""
    found = {}
    with Progress("tempo", len(manifest)) as bar:
        for record in manifest.records:
            try:
                found[record.id] = tempo(record, testing.decoder)
            except VideoError:
                if testing.on_error == "raise":
                    raise
            bar.advance()
    return found


def own_rate(model: VideoModel, motions: Mapping[str, Motion]) -> float:
    """Frames from one to the next of a clip as the model file states it, see `show_tempo`."""
    spec = model.spec.input
    if spec.sampling == "dense":
        return float(spec.stride)
    return median(motion.frames for motion in motions.values()) / spec.frames


def gains(
    first: Evaluation,
    second: Evaluation,
    models: Sequence[VideoModel],
    motions: Mapping[str, Motion],
) -> tuple[ClassGain, ...]:
    """What the second model is better at, class by class; the largest variance of tempo first."""
    recalls = []
    for result, model in zip((first, second), models, strict=True):
        scores = per_class(
            result.probs,
            result.targets,
            unread=result.unread_targets,
            activation=model.spec.activation,
        )
        recalls.append({model.spec.labels[row.index]: row.recall for row in scores})
    rows, labels = [], models[0].spec.labels
    truth = truth_of(first.targets, len(labels))  # (n, K)
    for label, own in zip(labels, truth.T, strict=True):
        ids = [i for i, shown in zip(first.ids, own, strict=True) if shown]
        if not ids:
            continue
        speeds = np.log2([motions[i].tempo for i in ids])
        row = ClassGain(
            label=label,
            videos=len(ids),
            variance=float(speeds.var(ddof=1)) if len(ids) > 1 else math.nan,
            first=recalls[0][label],
            second=recalls[1][label],
            gain=recalls[1][label] - recalls[0][label],
        )
        rows.append(row)
    return tuple(sorted(rows, key=lambda row: (math.isnan(row.variance), -row.variance)))


def trend(classes: Sequence[ClassGain]) -> tuple[float, float] | None:
    """Least-squares line of gain over variance: (gain at none, gain per unit); None: no line.

    A line needs three classes, not all of one variance.
    """
    known = [(row.variance, row.gain) for row in classes if not math.isnan(row.variance)]
    if len(known) < 3 or np.ptp([x for x, _ in known]) == 0:
        return None
    slope, level = np.polyfit([x for x, _ in known], [y for _, y in known], deg=1)
    return float(level), float(slope)


def gain_plot(classes: Sequence[ClassGain], colours: Mapping[str, str]) -> Figure:
    """Gain over variance of the tempo, a disc per class, with the least-squares line."""
    shown = [row for row in classes if not math.isnan(row.variance)]
    x, y = [row.variance for row in shown], [row.gain for row in shown]
    figure = Figure(figsize=(6.6, 3.9), layout="constrained")
    axes = figure.add_subplot()
    axes.axhline(0, color=colours["muted"], linewidth=1, linestyle="--")
    axes.scatter(x, y, color=HUES[0], s=30, zorder=3)
    if line := trend(classes):
        ends = np.array([min(x), max(x)])
        axes.plot(ends, line[0] + line[1] * ends, color=HUES[1])
    for row in sorted(shown, key=lambda row: -abs(row.gain))[:NAMED]:
        axes.annotate(
            row.label, (row.variance, row.gain), (4, 4), textcoords="offset points", fontsize=8,
            color=colours["ink"], rotation=25,
        )  # fmt: skip
    axes.margins(x=0.12, y=0.15)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlabel("variance of log2 tempo over the videos of a class")
    axes.set_ylabel("gain of the second model, recall")
    return figure


def _check(models: Sequence[VideoModel], names: Sequence[str]) -> None:
    if len({frozenset(model.spec.labels) for model in models}) > 1:
        raise ValueError(f"{' and '.join(names)} have different labels and cannot be compared")


def _score(
    name: str,
    file: Path,
    model: VideoModel,
    manifest: Manifest,
    motions: Mapping[str, Motion],
    rate: int,
    testing: Testing,
) -> RateScore:
    fed = replace(model.spec.input, sampling="dense", stride=rate)
    found = testing.score(model, manifest, fed)
    return RateScore(
        model=name,
        file=str(file),
        rate=rate,
        own=own_rate(model, motions),
        top1=found.metrics.top1,
        low=found.metrics.interval[0],
        high=found.metrics.interval[1],
        videos=len(manifest),
        short=sum(motion.frames <= (fed.frames - 1) * rate for motion in motions.values()),
        protocol=found.protocol.name,
    )


def _line(rows: Sequence[RateScore]) -> Line:
    return Line(
        name=rows[0].model,
        x=[row.rate for row in rows],
        share=[row.top1 for row in rows],
        low=[row.low for row in rows],
        high=[row.high for row in rows],
        own=rows[0].own,
        weak=[row.short > 0 for row in rows],
    )


def _curve_section(rows: Sequence[RateScore], plot: str, guess: float) -> Section:
    return Section(
        heading="Accuracy against playback rate",
        lead="Clips of neighbours the given number of frames apart. Bands are 95 % intervals over "
        "the videos; large discs and dotted lines mark the rate a model was made for; hollow: some "
        f"videos are too short and begin again; dashed: chance ({percent(guess)}).",
        pictures=(plot,),
        columns=("model", "rate", "top-1", "95 % interval", "videos that begin again"),
        rows=tuple(
            (
                row.model,
                str(row.rate),
                percent(row.top1),
                f"{percent(row.low)} to {percent(row.high)}",
                f"{row.short} of {row.videos}",
            )
            for row in rows
        ),
    )


def _gain_section(classes: Sequence[ClassGain], names: Sequence[str], plot: str) -> Section:
    line = trend(classes)
    words = (
        f"The least-squares line rises by {points(line[1])} points per unit."
        if line
        else "For a line it takes three classes of different variance."
    )
    return Section(
        heading="Gain against variance of tempo",
        lead=f"Recall of {names[1]} minus that of {names[0]}, each tested as its file states. The "
        "tempo of a video is how much its pixels change per second against their contrast (the "
        "camera's motion included); the variance is that of its log2 over the videos of a class. "
        f"{words}",
        pictures=(plot,),
        columns=("class", "videos", "variance", names[0], names[1], "gain, points"),
        rows=tuple(
            (
                row.label,
                str(row.videos),
                digits(row.variance),
                percent(row.first),
                percent(row.second),
                points(row.gain),
            )
            for row in classes
        ),
    )
