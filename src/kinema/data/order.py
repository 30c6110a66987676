"""Which videos a process sees in an epoch, and in which order."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

ORDER_STREAM, INSTEAD_STREAM = 1, 3  # keep the random streams of one seed apart; `fetch` has 2


class EpochOrder:
    """Which items a rank sees, in which order.

    Training (`shuffle`): every rank gets the same number; where the division leaves a rest, the
    first items of the order are used again (or, with `drop_last`, the rest is left out). Otherwise
    rank r gets items r, r + world, ...: nothing is repeated, so results are exact.

    Args:
        labels: of each item, none, one or several.
        batch: samples per batch on one rank.
        seed: of the order.
        shuffle: a new order each epoch.
        balanced: draw classes equally often, with replacement, instead of going through all items.
        rank: of this process.
        world: number of processes.
        drop_last: leave out the batch at the end that is not full.
    """

    def __init__(
        self,
        labels: Sequence[Sequence[int]],
        *,
        batch: int,
        seed: int,
        shuffle: bool,
        balanced: bool,
        rank: int,
        world: int,
        drop_last: bool,
    ) -> None:
        self.seed, self.shuffle, self.drop_last = seed, shuffle, drop_last
        self._labels = labels
        self._balanced, self._rank, self._world = balanced, rank, world
        if not shuffle:
            self.items = len(range(rank, len(labels), world))
        elif drop_last:
            self.items = len(labels) // (world * batch) * batch
        else:
            self.items = math.ceil(len(labels) / world)

    def __call__(self, epoch: int) -> NDArray[np.int64]:
        """Indices of this rank's items."""
        count = len(self._labels)
        if not self.shuffle:
            return np.arange(self._rank, count, self._world)
        rng = np.random.default_rng((self.seed, ORDER_STREAM, epoch))
        if self._balanced:
            order = rng.choice(count, size=count, p=self._chances)
        else:
            order = rng.permutation(count)
        return np.resize(order, self.items * self._world)[self._rank :: self._world]

    def instead(self, epoch: int, index: int, draw: int) -> int:
        """The item that may take an item's place: any, with the chances of a training epoch.

        Args:
            epoch: counted from 0.
            index: the item it stands for.
            draw: from 1 on; each gives another item.
        """
        rng = np.random.default_rng((self.seed, INSTEAD_STREAM, epoch, index, draw))
        chances = self._chances if self._balanced else None
        return int(rng.choice(len(self._labels), p=chances))

    @cached_property
    def _chances(self) -> NDArray[np.float64]:
        """(n,) chances of the items, where first a class is drawn and then an item of it."""
        sizes = Counter(label for labels in self._labels for label in labels)
        return np.array([sum(1 / sizes[i] / len(sizes) for i in labels) for labels in self._labels])
