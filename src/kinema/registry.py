"""Names to functions: models, datasets and recipes are registries of one class."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Generic, TypeVar, get_args

T = TypeVar("T", bound=Callable[..., object])


class UnknownNameError(KeyError):
    """A name nobody registered; the message lists the closest ones."""

    def __str__(self) -> str:
        return str(self.args[0])


def suggest(name: str, known: Iterable[str]) -> str:
    """` (did you mean a, b?)` for the closest known names, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=3)
    return f" (did you mean {', '.join(close)}?)" if close else ""


def check_choice(name: str, value: str, kind: object) -> None:
    """Raises ValueError unless `value` is one of the `Literal` called `kind`."""
    choices = get_args(kind)
    if value not in choices:
        hint = suggest(str(value), choices)
        raise ValueError(f"{name}={value!r} must be one of {', '.join(choices)}{hint}")


class Registry(Generic[T]):
    """Maps names to functions of one kind.

    Args:
        kind: what is registered, in the singular; used in messages ("model").
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str | None = None) -> Callable[[T], T]:
        """Decorator that files a function under `name`, or under its own.

        Raises ValueError for a name already taken.
        """

        def add(entry: T) -> T:
            key = name or entry.__name__
            if key in self._entries:
                raise ValueError(
                    f"{self.kind} {key!r} is already registered by {self._entries[key].__module__}"
                )
            self._entries[key] = entry
            return entry

        return add

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            raise UnknownNameError(
                f"no {self.kind} is named {name!r}{suggest(name, self._entries)}"
            )
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def names(self, pattern: str = "*") -> list[str]:
        """The registered names that match a shell pattern, sorted."""
        return sorted(name for name in self._entries if fnmatchcase(name, pattern))
