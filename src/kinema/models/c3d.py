"""C3D: eight 3x3x3 convolutions and three fully-connected layers (arXiv:1412.0767).

Made for clips of 16 frames of 112x112, which leave a map of 1x4x4 in front of the fully-connected
layers. Deviation: other clips work too. Maps of other sizes are averaged to 1x4x4, which leaves a
map of that size as it is; poolings round up, so that short clips keep a step.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers.heads import ClipHead
from ..layers.recompute import recompute
from ..layers.taps import NO_TAPS, Taps
from ..layers.weights import init_convs
from .base import VideoModel, register_model

# Convolutions by name with their share of `width`; a pooling follows each group.
GROUPS = (
    (("conv1a", 1),),
    (("conv2a", 2),),
    (("conv3a", 4), ("conv3b", 4)),
    (("conv4a", 8), ("conv4b", 8)),
    (("conv5a", 8), ("conv5b", 8)),
)
SIDE = 4  # of the map in front of fc6
FEATURES = 64  # channels of fc6 and fc7, relative to `width`
FC_STD = 0.005  # at the paper's width


class C3D(nn.Module):
    """All layers but the classifier. Names are those of mmaction2.

    Args:
        in_channels: C of the clip.
        width: channels of the first convolution; 64 is the paper's.
        dropout: behind fc6; the head has its own, behind fc7.

    Attributes:
        tap_channels: see `Backbone`. `fc6` and `fc7` are maps of one position.
        recompute: see `Backbone`.
    """

    def __init__(self, *, in_channels: int = 3, width: int = 64, dropout: float = 0.5) -> None:
        super().__init__()
        self.recompute = False
        channels, taps = in_channels, dict[str, int]()
        for number, group in enumerate(GROUPS, start=1):
            for name, share in group:
                conv = nn.Conv3d(channels, width * share, 3, padding=1)
                relu = nn.ReLU(inplace=True)
                self.add_module(name, nn.Sequential(OrderedDict(conv=conv, relu=relu)))
                channels = taps[name] = width * share
            steps = 1 if number == 1 else 2
            edge = 1 if number == len(GROUPS) else 0
            pool = nn.MaxPool3d((steps, 2, 2), padding=(0, edge, edge), ceil_mode=True)
            self.add_module(f"pool{number}", pool)
            taps[f"pool{number}"] = channels
        self.layer_names = tuple(taps)
        self.out_channels = taps["fc6"] = taps["fc7"] = width * FEATURES
        self.fc6 = nn.Linear(channels * SIDE * SIDE, self.out_channels)
        self.fc7 = nn.Linear(self.out_channels, self.out_channels)
        self.dropout = nn.Dropout(dropout)
        self.tap_channels: Mapping[str, int] = taps
        init_convs(self)
        for fc in (self.fc6, self.fc7):
            # Without norms, nothing else keeps a narrow network's signal as large as a wide one's.
            nn.init.normal_(fc.weight, std=FC_STD * (64 / width) ** 0.5)
            nn.init.zeros_(fc.bias)

    def forward(self, clip: Tensor, taps: Taps = NO_TAPS) -> Tensor:
        """(N, C, T, H, W) -> (N, out_channels, 1, 1, 1)."""
        again = self.recompute and torch.is_grad_enabled()
        x = clip
        for name in self.layer_names:
            layer = self.get_submodule(name)
            x = taps(name, recompute(layer, x) if again else layer(x))
        x = F.adaptive_avg_pool2d(x.mean(2), SIDE).flatten(1)  # channels first, as in their files
        x = taps("fc6", _as_map(F.relu(self.fc6(x))))
        x = self.fc7(self.dropout(x.flatten(1)))
        return taps("fc7", _as_map(F.relu(x)))


def _as_map(x: Tensor) -> Tensor:
    """(N, C) -> (N, C, 1, 1, 1)."""
    return x[:, :, None, None, None]


def c3d(num_classes: int, in_channels: int, *, dropout: float = 0.5, width: int = 64) -> VideoModel:
    """The paper's network; the embedding is what fc7 gives.

    Args:
        num_classes: K.
        in_channels: C of the clip.
        dropout: behind fc6 and fc7.
        width: channels of the first convolution; 64 is the paper's.
    """
    backbone = C3D(in_channels=in_channels, width=width, dropout=dropout)
    return VideoModel(backbone, ClipHead(backbone.out_channels, num_classes, dropout))


register_model("c3d")(c3d)
