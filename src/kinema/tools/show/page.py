"""What every look leaves in its folder: tables as CSV and one page that is complete in itself."""

from __future__ import annotations

import base64
import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from ...engine.pages import render
from ...files import atomic

OF_A_RUN = ("model", "last", "scores")  # files that are called the same in every run's folder


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a page.

    Attributes:
        heading: of it.
        lead: what it shows and how to read it.
        pictures: as HTML, from `write_plot` or `picture`.
        columns: headings of its table; (): it has none.
        rows: of the table, as text.
    """

    heading: str
    lead: str
    pictures: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def write_page(
    out: Path, *, kind: str, title: str, subtitle: str, sections: Sequence[Section]
) -> Path:
    """Writes `page.html` into a folder and returns its path."""
    page = out / "page.html"
    text = render("show.html.j2", kind=kind, title=title, subtitle=subtitle, sections=sections)
    with atomic(page) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return page


def write_table(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Writes rows of the same keys as CSV."""
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def picture(path: Path, text: str) -> str:
    """A PNG file as HTML that holds it; `text` says what it shows where it is not seen."""
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img src="data:image/png;base64,{data}" alt="{escape(text)}">'


def titles(files: Sequence[Path]) -> list[str]:
    """Short names of model or scores files: the run's, or the file's own; else a path's end.

    As much of the path as tells all of them apart: `TSM/seed0`, `TSN/seed0`.

    Raises:
        ValueError: for a file that is given twice.
    """
    if len(set(files)) < len(files):
        twice = next(file for file, count in Counter(files).items() if count > 1)
        raise ValueError(f"{twice} is given twice; every file counts once")
    named = [
        file.parent if file.stem in OF_A_RUN and file.parent.name else file.with_suffix("")
        for file in files
    ]
    for length in range(1, max(len(path.parts) for path in named) + 1):
        names = ["/".join(path.parts[-length:]) for path in named]
        if len(set(names)) == len(names):
            return names
    return [file.as_posix() for file in files]
