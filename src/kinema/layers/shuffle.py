"""Video shuffle: frames exchange groups of channels (VSN, arXiv:1911.11319)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def shuffle(x: Tensor) -> Tensor:
    """Channels in T groups: the new frame i gets group i of every frame, in their order.

    Its own inverse. Where T does not divide C, the last C mod T channels stay.

    Args:
        x: (N, C, T, H, W).
    """
    if torch.compiler.is_compiling():
        return shuffle_by_index(x)
    groups = x.shape[2]
    size = x.shape[1] // groups
    frames = x.movedim(1, -1)  # (N, T, H, W, C), as channels_last_3d memory lies
    moving = frames[..., : groups * size].unflatten(-1, (groups, size))  # (N, T, H, W, T, C/T)
    moved = moving.transpose(1, 4).flatten(4)  # (N, T, H, W, T * C/T)
    return torch.cat((moved, frames[..., groups * size :]), dim=-1).movedim(-1, 1)


def shuffle_by_index(x: Tensor) -> Tensor:
    """The spelling for compilers: one index per channel and frame.

    No shape depends on T, so batch and time stay dynamic in an exported graph.
    """
    channels, groups = x.shape[1:3]
    size = torch.sym_max(channels // groups, 1)
    channel = torch.arange(channels, device=x.device)[:, None]
    frame = torch.arange(groups, device=x.device)
    moves = channel < channels // groups * groups
    source = torch.where(moves, frame * size + channel % size, channel)  # (C, T)
    origin = torch.where(moves, channel // size, frame)
    places = (source * groups + origin).flatten()
    y = x.flatten(1, 2).index_select(1, places).unflatten(1, (channels, groups))
    return y.contiguous(memory_format=torch.channels_last_3d)


class VideoShuffle(nn.Module):
    """See `shuffle`. No parameters and no arithmetic.

    Deviation: the paper wants T to divide C; here the channels left over stay, so that the same
    weights run clips of other lengths.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> same."""
        return shuffle(x)
