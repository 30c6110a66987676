"""Memory of a forward and a backward pass, counted to the byte: the same on any machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

MIB = 2**20


def kept_mib(compute: Callable[[], Tensor], parameters: Iterable[Tensor] = ()) -> float:
    """MiB that autograd holds between forward and backward, every block of memory once.

    Two tensors that look at the same memory count once; parameters, which are there anyway, do not
    count.

    Args:
        compute: a forward pass that needs gradients; its result stays until all is counted.
        parameters: of the module.
    """
    own = {x.untyped_storage().data_ptr() for x in parameters}
    blocks: dict[int, int] = {}

    def keep(x: Tensor) -> Tensor:
        memory = x.untyped_storage()
        if memory.data_ptr() not in own:
            blocks[memory.data_ptr()] = memory.nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        result = compute()
    del result
    return sum(blocks.values()) / MIB


def peak_mib(run: Callable[[], object]) -> float:
    """MiB of tensors that are alive at once at most, on a CPU, beyond those from before.

    Scratch space that a convolution takes for itself is not among them.
    """
    from torch._C._profiler import _EventType  # the only place that tells blocks one by one

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        run()
    sizes: list[tuple[int, int]] = []
    nodes = list(seen.profiler.kineto_results.experimental_event_tree())
    while nodes:
        node = nodes.pop()
        nodes += node.children
        if node.tag == _EventType.Allocation:
            sizes.append((node.start_time_ns, node.extra_fields.alloc_size))
    alive = most = 0
    for _, size in sorted(sizes):
        alive += size
        most = max(most, alive)
    return most / MIB
