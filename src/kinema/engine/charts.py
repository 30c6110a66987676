"""Charts of the report: SVG text in the colours of the page, readable in light and in dark."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from io import StringIO
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from .metrics import Calibration, Ints

# Drawn in these colours, then replaced by the page's variables of the same names.
COLOURS = {
    "ink": "#010101",
    "muted": "#020202",
    "line": "#030303",
    "accent": "#040404",
    "second": "#050505",
    "error": "#060606",
}
LIGHT = {  # the page's in light, for pictures outside a page
    "ink": "#16191d",
    "muted": "#667080",
    "line": "#e4e7ec",
    "accent": "#2563eb",
    "second": "#e08a00",
    "error": "#dc4446",
}


def style(colours: Mapping[str, str]) -> dict[Any, Any]:
    """How charts look, for `matplotlib.rc_context`, in colours of the names of `COLOURS`."""
    return {  # matplotlib types the keys one by one; it checks them at run time
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.size": 9.5,
        "text.color": colours["ink"],
        "axes.labelcolor": colours["muted"],
        "axes.edgecolor": colours["line"],
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": colours["line"],
        "grid.linewidth": 0.7,
        "axes.axisbelow": True,
        "xtick.color": colours["muted"],
        "ytick.color": colours["muted"],
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "lines.linewidth": 1.8,
        "lines.markersize": 3.5,
        "legend.frameon": False,
        "legend.fontsize": 9,
    }


STYLE = style(COLOURS)
PAGE = 1010  # pixels between the margins of a section
Series = Mapping[str, Sequence[float]]


def curve(
    steps: Sequence[float],
    series: Series,
    *,
    name: str,
    percent: bool = False,
    chance: float | None = None,
    borders: Sequence[float] = (),
    axis: str = "",
) -> str:
    """Lines over training steps.

    Args:
        steps: (n,) optimizer steps.
        series: name -> (n,) values; nan leaves a gap.
        name: distinguishes the identifiers inside one page.
        percent: values are shares.
        chance: drawn as a dashed line.
        borders: steps where a phase begins, drawn as vertical lines.
        axis: what else the lines are over, a share from 0 to 1; "": steps.
    """
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(4.2, 2.75), layout="constrained")
        axes = figure.add_subplot()
        colours = COLOURS["accent"], COLOURS["second"], COLOURS["error"]
        for (label, values), colour in zip(series.items(), colours, strict=False):
            shown = np.isfinite(values)
            axes.plot(
                np.asarray(steps)[shown], np.asarray(values)[shown], "o-", color=colour, label=label
            )
        for border in borders:
            axes.axvline(border, color=COLOURS["muted"], linewidth=0.8, linestyle=":")
        if chance is not None:
            axes.axhline(
                chance, color=COLOURS["muted"], linewidth=1, linestyle="--", label="chance"
            )
        axes.set_xlabel(axis or "step")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=not axis))
        axes.xaxis.set_major_formatter(FuncFormatter(thousands))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        if percent:
            axes.set_ylim(0, 1.03)
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        if len(series) > 1 or chance is not None:
            axes.legend(loc="best")
        return as_svg(figure)


def reliability(result: Calibration) -> str:
    """Accuracy in each bin of confidence, with the share of videos that fall into it below."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": "reliability"}):
        figure = Figure(figsize=(4.6, 4.0), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3.2, 1))
        assert isinstance(above, Axes)
        assert isinstance(below, Axes)
        left, width = result.edges[:-1], np.diff(result.edges)
        filled = result.counts > 0
        above.bar(
            left[filled], result.accuracy[filled], width[filled] * 0.94, align="edge",
            color=COLOURS["accent"], alpha=0.85, label="share that is right",
        )  # fmt: skip
        above.hlines(
            result.confidence[filled], left[filled], left[filled] + width[filled] * 0.94,
            color=COLOURS["error"], linewidth=2.2, label="mean probability",
        )  # fmt: skip
        above.plot([0, 1], [0, 1], "--", color=COLOURS["muted"], linewidth=1)
        above.set_ylim(0, 1.02)
        above.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        above.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
        share = result.counts / result.counts.sum()
        below.bar(left, share, width * 0.94, align="edge", color=COLOURS["second"])
        below.set_ylabel("videos")
        below.set_xlim(0, 1)
        below.set_xlabel("probability of the predicted label")
        for axis in (below.xaxis, below.yaxis):
            axis.set_major_formatter(PercentFormatter(1, decimals=0))
        below.yaxis.set_major_locator(MaxNLocator(2))
        return as_svg(figure)


def dots(names: Sequence[str], series: Series) -> str:
    """One line per name, with a mark for its share in each series; the first series is a disc.

    Args:
        names: (n,) from top to bottom.
        series: name -> (n,) shares; four at most.
    """
    with mpl.rc_context({**STYLE, "svg.hashsalt": "dots"}):
        figure = Figure(figsize=(9.4, 0.75 + 0.24 * len(names)), layout="constrained")
        axes = figure.add_subplot()
        rows = np.arange(len(names))
        values = np.array(list(series.values()))  # (s, n)
        axes.hlines(rows, values.min(axis=0), values.max(axis=0), color=COLOURS["line"], zorder=1)
        looks = (("accent", "o", 54, 0.0), ("second", "<", 36, -0.2),
                 ("error", "D", 22, 0.0), ("muted", "s", 24, 0.2))  # fmt: skip
        for (label, shares), (name, mark, size, shift) in zip(series.items(), looks, strict=False):
            axes.scatter(
                shares, rows + shift, s=size, color=COLOURS[name], marker=mark, label=label,
                linewidths=0,
            )  # fmt: skip
        shown = [name if len(name) <= 48 else name[:47] + "\u2026" for name in names]
        axes.set_yticks(rows, shown, color=COLOURS["ink"])
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlim(-0.02, 1.02)
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(series))
        return as_svg(figure)


def confusion_matrix(counts: Ints, labels: Sequence[str]) -> str:
    """True label by row, predicted label by column, shaded by the share of the row.

    Hovering names every cell. Up to 20 classes the cells carry their percentage, up to 150 the rows
    and columns their names; beyond that the shape alone is drawn.
    """
    classes = len(labels)
    names = [label if len(label) <= 26 else label[:25] + "\u2026" for label in labels]
    longest = max(map(len, names))
    font = 12 if classes <= 20 else 11 if classes <= 50 else 8 if classes <= 150 else 0
    margin = 30 + 0.58 * font * longest
    cell = 72 if classes <= 4 else 46 if classes <= 12 else 30 if classes <= 20 else 18
    cell = max(5, min(cell, int((PAGE - margin) / classes)))
    upright = cell < 30  # slanted names would run into one another
    side = cell * classes
    width, height = margin + side + 8, side + (margin if upright else 0.62 * margin + 22)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    parts = [
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" '
        f'role="img" aria-label="confusion matrix" class="matrix">'
        f'<rect x="{margin:.1f}" y="0" width="{side}" height="{side}" class="frame"/>'
    ]
    for row, column in np.argwhere(counts):
        share, x, y = shares[row, column], margin + column * cell, row * cell
        kind = "hit" if row == column else "miss"
        title = (
            f"{labels[row]} \u2192 {labels[column]}: {counts[row, column]} of {counts[row].sum()}"
        )
        parts.append(
            f'<g><rect x="{x:.1f}" y="{y}" width="{cell}" height="{cell}" class="{kind}" '
            f'fill-opacity="{0.12 + 0.88 * share:.2f}"/>'
        )
        if classes <= 20:
            strong = " strong" if share > 0.5 else ""
            parts.append(
                f'<text x="{x + cell / 2:.1f}" y="{y + cell / 2 + 4:.1f}" '
                f'class="value{strong}">{100 * share:.0f}</text>'
            )
        parts.append(f"<title>{escape(title)}</title></g>")
    if font:
        for index, name in enumerate(names):
            middle = index * cell + cell / 2
            x, y, angle = margin + middle, side + 8 + font / 2, -45
            if upright:
                x, y, angle = x + font * 0.35, y - font / 2, -90
            parts.append(
                f'<text x="{margin - 8:.1f}" y="{middle + font * 0.35:.1f}" font-size="{font}" '
                f'text-anchor="end">{escape(name)}</text>'
                f'<text x="{x:.1f}" y="{y:.1f}" font-size="{font}" text-anchor="end" '
                f'transform="rotate({angle} {x:.1f} {y:.1f})">{escape(name)}</text>'
            )
    return "".join(parts) + "</svg>"


def as_svg(figure: Figure) -> str:
    """The figure as SVG text in the colours of the page, without a size of its own."""
    buffer = StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)  # it would apply to the page
    text = re.sub(r'font-family: [^;"]+', "font-family: system-ui, sans-serif", text)
    for name, colour in COLOURS.items():
        text = text.replace(colour, f"var(--{name})")
    return text


def thousands(value: float, _: int | None = None) -> str:
    """Of an axis: `12k` for 12000."""
    return f"{value / 1000:g}k" if abs(value) >= 1000 else f"{value:g}"
