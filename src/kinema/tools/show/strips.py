"""Rows of small pictures with captions: frames, maps and what lies over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure, FigureBase

from ...engine.charts import LIGHT, style
from ...files import atomic
from .plots import DPI

COLUMNS = 8  # pictures in a row at most
CELL = 1.15  # inches, of a picture with what surrounds it
LEFT, TOP, BOTTOM = 0.3, 0.5, 0.08  # inches beside, over and under the rows

Array = npt.NDArray[np.generic]


@dataclass(frozen=True, kw_only=True)
class Strip:
    """One row.

    Attributes:
        name: what stands at its left.
        pictures: (H, W, 3) uint8 in colour, (H, W) numbers as a map.
        captions: what stands over each; (): nothing.
        scale: numbers shown as the darkest and the brightest; None: every map has its own.
    """

    name: str
    pictures: Sequence[Array]
    captions: Sequence[str] = ()
    scale: tuple[float, float] | None = None


def chosen(count: int) -> list[int]:
    """At most `COLUMNS` of `count` places, spread evenly, the ends among them."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, COLUMNS)).tolist()})


def draw_strips(host: FigureBase, strips: Sequence[Strip]) -> None:
    """Draws the rows into a figure, or a part of one, of the size `strips_size` says.

    Places are computed here: matplotlib's layout engines take seconds for a hundred axes.
    """
    columns = max(len(strip.pictures) for strip in strips)
    width, height = strips_size(columns, len(strips))
    margins = {"left": LEFT / width, "right": 1 - 0.05 / width, "wspace": 0.06}
    margins |= {"bottom": BOTTOM / height, "top": 1 - TOP / height, "hspace": 0.16}
    grid = host.subplots(len(strips), columns, squeeze=False, gridspec_kw=margins)
    for row, strip in zip(grid, strips, strict=True):
        for axes in row:
            axes.set_axis_off()
        low, high = strip.scale or (None, None)
        for axes, picture in zip(row, strip.pictures, strict=False):
            axes.imshow(picture, cmap="magma", vmin=low, vmax=high, interpolation="nearest")
        for axes, caption in zip(row, strip.captions, strict=False):
            axes.set_title(caption, fontsize=6.5, pad=2)
        row[0].text(
            -0.06, 0.5, strip.name, transform=row[0].transAxes, rotation=90, fontsize=7,
            ha="right", va="center",
        )  # fmt: skip


def strips_size(columns: int, rows: int) -> tuple[float, float]:
    """Inches in which rows of square pictures fit."""
    return CELL * columns + LEFT, 1.1 * CELL * rows + TOP + BOTTOM


def sheet(strips: Sequence[Strip], *, title: str) -> Figure:
    """A figure of rows alone."""
    columns = max(len(strip.pictures) for strip in strips)
    figure = Figure(figsize=strips_size(columns, len(strips)))
    figure.suptitle(title, fontsize=9, y=1 - 0.08 / figure.get_figheight(), va="top")
    draw_strips(figure, strips)
    return figure


def write_figure(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG; whole or not at all."""
    with mpl.rc_context(style(LIGHT)), atomic(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI, facecolor="white")
