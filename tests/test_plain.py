from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from kinema.plain import from_plain, to_plain
from kinema.registry import Registry
from kinema.types import JSON


@dataclass(frozen=True)
class Circle:
    shape: Literal["circle"] = "circle"
    radius: float = 1.0


@dataclass(frozen=True)
class Square:
    shape: Literal["square"] = "square"
    side: int = 1


@dataclass(frozen=True)
class Drawing:
    name: str
    parts: tuple[Circle | Square, ...] = ()
    swaps: Mapping[int, int | None] = field(default_factory=dict)
    extra: Mapping[str, JSON] = field(default_factory=dict)
    file: Path | None = None
    filled: bool = False
    steps: Literal["cosine"] | tuple[int, ...] = "cosine"


def test_there_and_back() -> None:
    drawing = Drawing(
        "d", (Circle(radius=2.5), Square(side=3)), {1: 2, 2: None}, {"a": [1, {"b": None}]},
        Path("x/y"), True, (3, 4),
    )  # fmt: skip
    assert from_plain(Drawing, to_plain(drawing)) == drawing


def test_numbers_that_yaml_reads_as_text_are_numbers() -> None:
    assert from_plain(Circle, {"radius": "1e-4"}).radius == 1e-4


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "name is missing"),
        (
            {"name": "d", "fill": True},
            r"fill is not known \(did you mean .*filled.*\?\); known: name,",
        ),
        ({"name": 3}, "name=3 must be text"),
        ({"name": "d", "filled": 1}, "filled=1 must be true or false"),
        ({"name": "d", "parts": {}}, "parts={} must be a list"),
        (
            {"name": "d", "parts": [{"shape": "circl"}]},
            r"parts\[0\]=.* must be a mapping with shape",
        ),
        (
            {"name": "d", "parts": [{"shape": "square", "side": 1.5}]},
            r"parts\[0\]\.side=1\.5 must be",
        ),
        ({"name": "d", "steps": "cosin"}, "steps='cosin' must be one of cosine or a list"),
        ([], r"value=\[\] must be a mapping"),
    ],
)
def test_errors_name_the_path_the_value_and_the_rule(data: JSON, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_plain(Drawing, data)


def test_a_registry_knows_close_names_and_refuses_doubles() -> None:
    registry: Registry[type] = Registry("shape")
    registry.register("circle")(Circle)
    registry.register()(Square)
    assert registry.names() == ["Square", "circle"]
    assert registry.names("c*") == ["circle"]
    with pytest.raises(KeyError, match=r"no shape is named 'circl' \(did you mean circle\?\)"):
        registry["circl"]
    with pytest.raises(ValueError, match="'circle' is already registered"):
        registry.register("circle")(Square)
