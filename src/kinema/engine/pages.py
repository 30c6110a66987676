"""What all pages have in common: one look, one way of writing shares."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One of the figures on top of a page; `low`, `high` and `mark` are shares on its bar."""

    name: str
    value: str
    note: str
    share: float | None = None
    low: float = 0.0
    high: float = 0.0
    mark: float | None = None


def render(template: str, **values: object) -> str:
    """The page of a template beside this file.

    Args:
        template: its name; it extends `page.html.j2`, which needs kind, title and subtitle.
        **values: what the template shows; a name it asks for and does not get is an error.
    """
    environment = Environment(
        loader=PackageLoader("kinema.engine"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "points": points, "figure": figure}
    return environment.get_template(template).render(**values)


def percent(share: float) -> str:
    """`12.3 %`; a dash where there is no number."""
    return "\u2013" if math.isnan(share) else f"{100 * share:.1f} %"


def points(share: float) -> str:
    """A difference of shares in percentage points: `+1.5`."""
    return f"{100 * share:+.1f}"


def figure(value: float) -> str:
    """A measured number to three digits: `0.0123`, `4.56`, `1,230`; a dash for nan."""
    if math.isnan(value):
        return "\u2013"
    digits = 0 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{round(value, digits):,.{digits}f}" if abs(value) < 1e5 else f"{value:,.0f}"
