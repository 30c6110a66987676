"""What is known about checkpoints of one origin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from ..models import VideoModel
from ..types import JSON, InputSpec

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
        adapt: changes their tensors before they are matched.
        options: (model, their tensors) -> options of the model that these weights need.
        input: what clips these weights want, from what the model would get.
        spare: whether one of their tensors is not needed (a head that only training has).
        export: adapts a copy of our state before it is renamed.
    """

    rename: Rename
    heads: tuple[str, ...]
    aliases: tuple[tuple[str, str], ...] = ()
    images: bool = False
    adapt: Callable[[dict[str, Tensor]], dict[str, Tensor]] = lambda state: state
    options: Callable[[str, Mapping[str, Tensor]], dict[str, JSON]] = lambda model, state: {}
    input: Callable[[InputSpec], InputSpec] = lambda spec: spec
    spare: Callable[[VideoModel, str], bool] = lambda model, key: False
    export: Callable[[VideoModel, dict[str, Tensor]], dict[str, Tensor]] = lambda model, state: (
        state
    )
