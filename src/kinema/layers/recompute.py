"""Trading time for memory: activations inside a block are computed again in the backward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import cast

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from .taps import Taps


def recompute(block: nn.Module, *inputs: Tensor | Taps) -> Tensor:
    """`block(*inputs)` that keeps its inputs only.

    The second pass leaves the statistics of batch norms alone; otherwise each step would count
    twice in them and the trained model would be another one.
    """

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _statistics_kept(block)

    # mypy: torch gives the result no type
    y = checkpoint(block, *inputs, use_reentrant=False, context_fn=contexts)
    return cast(Tensor, y)


@contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    norms = [m for m in block.modules() if isinstance(m, _BatchNorm)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
