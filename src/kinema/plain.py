"""Frozen dataclasses to plain data and back: one codec for recipes (YAML) and model files (JSON).

Reading is strict: an unknown key, a missing key or a value of the wrong type is an error that names
the path to it.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from .registry import suggest
from .remote import RemotePath, to_path
from .types import JSON

T = TypeVar("T")


def to_plain(value: object) -> JSON:
    """Dataclasses, tuples, mappings and paths as JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, Path | RemotePath):
        return str(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [to_plain(v) for v in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{type(value).__name__} has no plain form")


def from_plain(kind: type[T], value: object, where: str = "") -> T:
    """The inverse of `to_plain`: builds a `kind` from plain data.

    Args:
        kind: a dataclass, or any annotation a field may have.
        value: JSON-like data.
        where: dotted path of the value, for messages.

    Raises:
        ValueError: naming the path, the value and the rule.
    """
    return cast(T, _read(kind, value, where))


# `Any` below: annotations are values here, and typing gives them no common type.
def _read(kind: Any, value: object, where: str) -> object:
    origin, args = get_origin(kind), get_args(kind)
    if any(get_origin(arg) is dict for arg in args):
        return value  # JSON, the only annotation with `dict` among its alternatives
    if dataclasses.is_dataclass(kind):
        return _read_dataclass(kind, value, where)
    if origin is Literal:
        if value not in args or isinstance(value, bool):
            raise _wrong(
                where,
                value,
                f"one of {', '.join(map(str, args))}",
                suggest(str(value), map(str, args)),
            )
        return value
    if origin in (Union, types.UnionType):
        return _read_union(args, value, where)
    if origin is tuple:
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise _wrong(where, value, "a list")
        if args[-1] is Ellipsis:
            return tuple(_read(args[0], v, f"{where}[{i}]") for i, v in enumerate(value))
        if len(value) != len(args):
            raise _wrong(where, value, f"a list of {len(args)} values")
        return tuple(
            _read(a, v, f"{where}[{i}]") for i, (a, v) in enumerate(zip(args, value, strict=True))
        )
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise _wrong(where, value, "a mapping")
        return {
            _read_key(args[0], k, where): _read(args[1], v, f"{where}.{k}")
            for k, v in value.items()
        }
    return _read_scalar(kind, value, where)


def _read_key(kind: Any, key: object, where: str) -> object:
    """JSON turns the integer keys of a mapping into text; this turns them back."""
    return int(key) if kind is int and isinstance(key, str) else _read(kind, key, where)


def _read_scalar(kind: Any, value: object, where: str) -> object:
    if kind is float and isinstance(value, str):  # YAML reads 1e-4 as text
        try:
            return float(value)
        except ValueError:
            raise _wrong(where, value, "a number") from None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is Path and isinstance(value, str):
        return to_path(value)
    if kind is type(None) and value is None:
        return None
    if isinstance(value, kind) and (kind is bool) == isinstance(value, bool):
        return value
    names = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "text",
        Path: "a path",
    }
    raise _wrong(where, value, names.get(kind, "null" if kind is type(None) else str(kind)))


def _read_union(kinds: Sequence[Any], value: object, where: str) -> object:
    """The first alternative that fits.

    Dataclasses tell themselves apart by a `Literal` first field that equals its default.
    """
    if value is None and type(None) in kinds:
        return None
    tagged = {tag: kind for kind in kinds for tag in [_tag(kind)] if tag}
    if tagged and isinstance(value, Mapping):
        for (name, tag), kind in tagged.items():
            if value.get(name) == tag:
                return _read(kind, value, where)
        names = sorted({name for name, _ in tagged})
        raise _wrong(
            where, value, f"a mapping with {names[0]}: one of {', '.join(t for _, t in tagged)}"
        )
    errors = []
    for kind in kinds:
        try:
            return _read(kind, value, where)
        except ValueError as error:
            errors.append(error)
    raise (
        errors[-1]
        if len(errors) == 1
        else _wrong(where, value, " or ".join(_rule(e) for e in errors))
    )


def _tag(kind: Any) -> tuple[str, str] | None:
    if not dataclasses.is_dataclass(kind):
        return None
    first = dataclasses.fields(kind)[0]
    return (
        (first.name, str(first.default))
        if get_origin(get_type_hints(kind)[first.name]) is Literal
        else None
    )


def _read_dataclass(kind: Any, value: object, where: str) -> object:
    if not isinstance(value, Mapping):
        raise _wrong(where, value, "a mapping")
    fields = {f.name: f for f in dataclasses.fields(kind)}
    prefix = f"{where}." if where else ""
    for key in value:
        if key not in fields:
            raise ValueError(
                f"{prefix}{key} is not known{suggest(str(key), fields)}; known: {', '.join(fields)}"
            )
    for name, f in fields.items():
        needed = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if needed and name not in value:
            raise ValueError(f"{prefix}{name} is missing")
    hints = get_type_hints(kind)
    return kind(**{key: _read(hints[key], v, f"{prefix}{key}") for key, v in value.items()})


class _PlainError(ValueError):
    def __init__(self, message: str, rule: str) -> None:
        super().__init__(message)
        self.rule = rule


def _wrong(where: str, value: object, rule: str, hint: str = "") -> _PlainError:
    return _PlainError(f"{where or 'value'}={value!r} must be {rule}{hint}", rule)


def _rule(error: ValueError) -> str:
    return error.rule if isinstance(error, _PlainError) else str(error)
