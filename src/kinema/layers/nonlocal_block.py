"""Non-local block: every position attends to every position of the clip (arXiv:1711.07971)."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from ..registry import check_choice

Affinity = Literal["embedded_gaussian", "gaussian", "dot_product"]


class NonLocal(nn.Module):
    """x + W(attention(x)): (N, C, T, H, W) -> same.

    Identity at initialisation: the norm behind W starts at zero. As in the TSM authors' code and
    mmaction2: inner width C/2, keys and values max-pooled 2x2 in space, no 1/sqrt scale.

    Args:
        channels: C.
        affinity: how two positions compare. `embedded_gaussian`: softmax of theta(x) . phi(x);
            `gaussian`: softmax of x . x; `dot_product`: theta(x) . phi(x) divided by the number of
            positions.
    """

    def __init__(self, channels: int, affinity: Affinity = "embedded_gaussian") -> None:
        super().__init__()
        check_choice("non_local", affinity, Affinity)
        inner = max(channels // 2, 1)
        self.affinity = affinity
        self.g = nn.Conv3d(channels, inner, 1)
        if affinity != "gaussian":
            self.theta = nn.Conv3d(channels, inner, 1)
            self.phi = nn.Conv3d(channels, inner, 1)
        self.pool = nn.MaxPool3d((1, 2, 2))
        self.out = nn.Conv3d(inner, channels, 1)
        self.bn = nn.BatchNorm3d(channels)

    def reset_parameters(self) -> None:
        """Start as the identity."""
        nn.init.zeros_(self.bn.weight)
        nn.init.zeros_(self.bn.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> same."""
        embedded = self.affinity != "gaussian"
        query = _positions(self.theta(x) if embedded else x)
        key = _positions(self.pool(self.phi(x) if embedded else x))
        value = _positions(self.pool(self.g(x)))
        if (
            self.affinity == "dot_product"
        ):  # (q k^T) v == q (k^T v): never builds the positions x positions matrix
            y = query @ (key.transpose(1, 2) @ value) / key.shape[1]
        else:
            y = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        y = y.transpose(1, 2).unflatten(2, x.shape[2:])  # (N, C/2, T, H, W)
        return x + self.bn(self.out(y))


def _positions(x: Tensor) -> Tensor:
    """(N, C, T, H, W) -> (N, T*H*W, C)."""
    return x.flatten(2).transpose(1, 2)
