"""What is known about checkpoints of one origin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..models import VideoModel

Rename = Callable[[VideoModel, str], str | None]


@dataclass(frozen=True)
class Source:
    """Where checkpoints come from and how their tensors are called.

    Attributes:
        rename: our name -> theirs; None: they have no such tensor, ours keeps its initial value.
        aliases: (pattern, replacement) on their names before matching, for spellings that changed
            over time.
        heads: their names of the classifier's weight, which tells the number of classes.
        images: weights of an image network: kernels are inflated and the stem is adapted where
            shapes ask for it.
        export: adapts a copy of our state before it is renamed.
    """

    rename: Rename
    heads: tuple[str, ...]
    aliases: tuple[tuple[str, str], ...] = ()
    images: bool = False
    export: Callable[[dict[str, Tensor]], dict[str, Tensor]] = lambda state: state
