"""Accuracy against cost, with the models that nothing beats joined by a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter

from ...engine.charts import COLOURS, STYLE, as_svg, thousands


@dataclass(frozen=True, kw_only=True)
class Point:
    """A model in a chart of accuracy against cost; low and high are the ends of its interval."""

    name: str
    cost: float
    share: float
    low: float
    high: float


def tradeoff(
    points: Sequence[Point],
    *,
    name: str,
    cost: str,
    chance: float,
    ceiling: float | None = None,
) -> str:
    """Accuracy against cost; a line joins the models that no other one beats in both.

    Args:
        points: one per model; names stand at the right, joined to their points.
        name: distinguishes the identifiers inside one page.
        cost: what the axis says; less is better.
        chance: drawn as a dashed line.
        ceiling: drawn as a dotted line; None: not known.
    """
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(5.2, max(3.0, 0.9 + 0.24 * len(points))), layout="constrained")
        axes = figure.add_subplot()
        for x in points:
            axes.vlines(x.cost, x.low, x.high, color=COLOURS["accent"], linewidth=1.2, alpha=0.6)
        best = pareto(points)
        axes.plot(
            [x.cost for x in best], [x.share for x in best], "-", color=COLOURS["second"],
            linewidth=1.4, zorder=1, drawstyle="steps-post",
        )  # fmt: skip
        costs, shares = [x.cost for x in points], [x.share for x in points]
        axes.plot(costs, shares, "o", color=COLOURS["accent"], markersize=5)
        for level, style in ((chance, "--"), (ceiling, ":")):
            if level is not None:
                axes.axhline(level, color=COLOURS["muted"], linewidth=1, linestyle=style)
        axes.set_ylim(0, 1.03)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_xlabel(cost)
        if min(costs) > 0 and max(costs) > 8 * min(costs):
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter(FuncFormatter(thousands))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_xlim(min(costs) / 1.4, max(costs) * 1.4)
        else:
            axes.set_xlim(0, 1.15 * max(costs))
        places = _spread([x.share / 1.03 for x in points], gap=0.075 * 3 / figure.get_figheight())
        for x, place in zip(points, places, strict=True):
            axes.annotate(
                x.name, (x.cost, x.share), (1.04, place), textcoords="axes fraction",
                va="center", fontsize=9, annotation_clip=False, zorder=0.5,
                arrowprops={"arrowstyle": "-", "color": COLOURS["line"], "linewidth": 0.8,
                            "shrinkA": 2, "shrinkB": 3, "relpos": (0, 0.5)},
            )  # fmt: skip
        return as_svg(figure)


def pareto(points: Sequence[Point]) -> list[Point]:
    """Those for which no other one is at least as right for no more cost; cheapest first."""
    best: list[Point] = []
    for x in sorted(points, key=lambda x: (x.cost, -x.share)):
        if not best or x.share > best[-1].share:
            best.append(x)
    return best


def _spread(wishes: Sequence[float], *, gap: float) -> list[float]:
    """Places from 0 to 1 near the wishes, in their order, at least `gap` apart where they fit."""
    gap = min(gap, 1 / max(1, len(wishes) - 1))
    order = sorted(range(len(wishes)), key=lambda i: wishes[i])
    places = [0.0] * len(wishes)
    lowest = 0.0
    for i in order:
        places[i] = lowest = max(wishes[i], lowest)
        lowest += gap
    highest = 1.0
    for i in reversed(order):
        places[i] = highest = min(places[i], highest)
        highest -= gap
    return places
