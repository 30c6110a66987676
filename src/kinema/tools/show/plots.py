"""Plots that stand alone as pictures and, in the page's colours, on a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

from ...engine.charts import COLOURS, LIGHT, as_svg, style
from ...files import atomic

DPI = 160
HUES = (
    "#2563eb", "#e08a00", "#0f9a6c", "#dc4446", "#8b5cf6", "#0891b2", "#a16207", "#db2777",
)  # fmt: skip
DASHES = ("-", "--", ":", "-.")  # for a ninth model and further ones

Draw = Callable[[Mapping[str, str]], Figure]
"""Draws in colours of the names of `COLOURS`."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """The accuracy of one model along an axis, with the ends of its intervals.

    Attributes:
        name: of the model.
        x: (n,) places, rising.
        share: (n,) accuracies.
        low: (n,) lower ends.
        high: (n,) upper ends.
        own: the place the model was trained for; its value is drawn large, a dotted line where it
            is none of the places. None: not known.
        weak: (n,) whether a value is one to be careful with; drawn hollow. (): none is.
    """

    name: str
    x: Sequence[float]
    share: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    own: float | None = None
    weak: Sequence[bool] = ()


def write_plot(draw: Draw, path: Path) -> str:
    """Writes a plot as `path` with the endings .svg and .png; returns it as a page shows it."""
    with mpl.rc_context({**style(LIGHT), "svg.hashsalt": path.name}):
        figure = draw(LIGHT)
        for ending in ("svg", "png"):
            with atomic(path.with_name(f"{path.name}.{ending}")) as temporary:
                date = {"Date": None} if ending == "svg" else {}
                figure.savefig(temporary, format=ending, dpi=DPI, metadata=date)
    with mpl.rc_context({**style(COLOURS), "svg.hashsalt": path.name}):
        return as_svg(draw(COLOURS))


def lines(
    found: Sequence[Line],
    colours: Mapping[str, str],
    *,
    axis: str,
    chance: float,
    ticks: Sequence[float] = (),
) -> Figure:
    """Accuracy along a logarithmic axis, one line per model.

    Args:
        found: one per model.
        colours: of ink, lines and what is muted.
        axis: what it says.
        chance: drawn as a dashed line.
        ticks: places that are named; (): the usual ones.
    """
    figure = Figure(figsize=(6.6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for i, line in enumerate(found):
        colour, dash = HUES[i % len(HUES)], DASHES[i // len(HUES) % len(DASHES)]
        axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.14, linewidth=0)
        axes.plot(line.x, line.share, dash, color=colour, label=line.name)
        weak = np.asarray(line.weak or [False] * len(line.x))
        own = np.asarray([x == line.own for x in line.x])
        if line.own is not None and not own.any():
            axes.axvline(line.own, color=colour, linewidth=1, linestyle=":")
        for chosen, face in ((~weak, colour), (weak, "none")):
            axes.scatter(
                np.asarray(line.x)[chosen], np.asarray(line.share)[chosen], zorder=3,
                s=np.where(own, 70, 22)[chosen], facecolors=face, edgecolors=colour,
            )  # fmt: skip
    axes.axhline(chance, color=colours["muted"], linewidth=1, linestyle="--")
    _share_axis(axes)
    axes.set_xscale("log")
    if ticks:
        axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel(axis)
    figure.legend(loc="outside lower left", ncols=2)
    return figure


def _share_axis(axes: Axes) -> None:
    axes.set_ylim(0, 1.03)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_ylabel("top-1")
