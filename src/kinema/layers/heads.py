"""From feature maps to logits."""

from __future__ import annotations

from torch import Tensor, nn


class SegmentHead(nn.Module):
    """TSN's consensus: frames are classified, their logits averaged (arXiv:1608.00859).

    Dropout falls on each frame separately, as in the authors' code; without it, classifying the
    mean over time would give the same logits.

    Args:
        in_channels: channels of the map.
        num_classes: K.
        dropout: probability, on the pooled frame.
    """

    def __init__(self, in_channels: int, num_classes: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(in_channels, num_classes)
        nn.init.normal_(self.fc.weight, std=0.001)
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, T, H, W) -> logits (N, K), embedding (N, C)."""
        frames = x.mean((3, 4)).transpose(1, 2)  # (N, T, C)
        return self.fc(self.dropout(frames)).mean(1), frames.mean(1)


class ClipHead(nn.Module):
    """The head of 3D networks: the map's mean is classified once.

    Equal to classifying every position and averaging the logits, which is how fully-convolutional
    tests are published; larger crops need nothing else.

    Args:
        in_channels: channels of the map.
        num_classes: K.
        dropout: probability, on the pooled clip.
    """

    def __init__(self, in_channels: int, num_classes: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(in_channels, num_classes)
        nn.init.normal_(self.fc.weight, std=0.01)
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, T, H, W) -> logits (N, K), embedding (N, C)."""
        clip = x.mean((2, 3, 4))  # (N, C)
        return self.fc(self.dropout(clip)), clip
