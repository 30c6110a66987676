"""Features by name, asked for before the forward pass instead of hooked out of it."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor


class Taps:
    """Passes tensors through and keeps those whose name is wanted.

    A network calls `x = taps("layer3.5", block(x))`; names equal module paths.

    Args:
        wanted: names to keep.
    """

    def __init__(self, wanted: Iterable[str] = ()) -> None:
        self._wanted = frozenset(wanted)
        self._found: dict[str, Tensor] = {}
        self._prefix = ""

    def __call__(self, name: str, x: Tensor) -> Tensor:
        """Returns x; keeps it if `name` is wanted."""
        if self._wanted and self._prefix + name in self._wanted:
            self._found[self._prefix + name] = x
        return x

    def under(self, prefix: str) -> Taps:
        """A view for a part of a composite network: the same store, names behind `prefix`."""
        part = Taps(self._wanted)
        part._found, part._prefix = self._found, self._prefix + prefix
        return part

    def found(self) -> dict[str, Tensor]:
        """Name -> (N, C, T, H, W). Raises KeyError naming every wanted tap that never came by."""
        missing = sorted(self._wanted - self._found.keys())
        if missing:
            raise KeyError(
                f"no such taps: {', '.join(missing)}; model.backbone.tap_channels lists all"
            )
        return dict(self._found)


NO_TAPS = Taps()
