"""The chart of accuracy against cost: who is on the line, and names beside one another."""

from __future__ import annotations

import pytest

from kinema.tools.study.chart import Point, _spread, pareto, tradeoff


def point(name: str, cost: float, share: float) -> Point:
    return Point(name=name, cost=cost, share=share, low=share, high=share)


def test_the_line_joins_what_nothing_beats() -> None:
    points = [point("a", 1, 0.5), point("b", 2, 0.4), point("c", 3, 0.9), point("d", 3, 0.8)]
    points += [point("e", 4, 0.9), point("f", 0.5, 0.1)]
    assert [p.name for p in pareto(points)] == ["f", "a", "c"]


def test_names_keep_their_distance_and_their_order() -> None:
    assert _spread([0.1, 0.9], gap=0.1) == [0.1, 0.9]
    places = _spread([0.97, 0.5, 0.98, 0.96], gap=0.1)
    assert places == pytest.approx([0.9, 0.5, 1.0, 0.8])
    crowd = _spread([0.0] * 21, gap=0.1)  # more than fit: as far apart as they can be
    assert crowd == pytest.approx([i / 20 for i in range(21)])


@pytest.mark.parametrize("count", [1, 10])
def test_every_model_is_named(count: int) -> None:
    points = [point(f"model {i} & co", 0.1 * 3**i, 0.9) for i in range(count)]
    svg = tradeoff(points, name="t", cost="GMACs", chance=0.125, ceiling=0.5)
    assert all(f"model {i} &amp; co" in svg for i in range(count))
    assert "#010101" not in svg
