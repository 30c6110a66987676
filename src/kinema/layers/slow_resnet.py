"""The slow pathway's ResNet: frames alone in the early stages, neighbours in the late ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from .resnet import RESNETS, BasicBlock, Bottleneck, ResidualBlock, ResNet, Site
from .streaming import State
from .time_conv import TimeConv

INFLATED_STAGES = (3, 4)


class _Inflated(ResidualBlock):
    """A block whose first convolution looks at the frames before and behind."""

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Not possible: the first convolution needs the next frame."""
        raise TypeError(
            f"{self.name} cannot run frame by frame: it needs other frames; "
            "use a causal model (kinema models '*_causal') or a sliding window"
        )


class SlowBottleneck(_Inflated, Bottleneck):
    """A bottleneck whose first convolution is 3x1x1 instead of 1x1 (arXiv:1812.03982, table 1)."""

    def add_convs(self, site: Site) -> None:
        """As in the image network, but for `conv1`."""
        super().add_convs(site)
        self.conv1 = TimeConv(site.in_channels, site.width)


class SlowBasicBlock(_Inflated, BasicBlock):
    """A basic block whose first convolution is 3x3x3 instead of 3x3.

    As in facebookresearch/SlowFast, whose basic transformation is Tx3x3, 1x3x3.
    """

    def add_convs(self, site: Site) -> None:
        """As in the image network, but for `conv1`."""
        super().add_convs(site)
        self.conv1 = nn.Conv3d(
            site.in_channels,
            site.width,
            3,
            stride=(1, site.stride, site.stride),
            padding=1,
            bias=False,
        )


_SLOW: Mapping[type[ResidualBlock], type[_Inflated]] = {
    BasicBlock: SlowBasicBlock,
    Bottleneck: SlowBottleneck,
}


def slow_block(depth: int) -> Callable[[Site], ResidualBlock]:
    """Makes the block of the slow path at a site, in a network of that depth."""
    plain = RESNETS[depth].block
    return lambda site: (_SLOW[plain] if site.stage in INFLATED_STAGES else plain)(site)


def start_as_identity(network: nn.Module) -> None:
    """Sets the last norm of every block to zero, so that blocks start as their shortcut."""
    for block in network.modules():
        if isinstance(block, Bottleneck):
            nn.init.zeros_(block.bn3.weight)
        if isinstance(block, BasicBlock):
            nn.init.zeros_(block.bn2.weight)


def slow_resnet(
    depth: int, *, in_channels: int = 3, width: int = 64, zero_init: bool = False
) -> ResNet:
    """The 3D ResNet of a depth that keeps T and looks at neighbouring frames in res4 and res5.

    Every block of these two stages begins with a convolution over three frames, 3x1x1, or 3x3x3
    with 18 and 34 layers; everything else is the image network, so its weights load, inflated.

    Args:
        depth: 18, 34, 50, 101 or 152.
        in_channels: C of the clip.
        width: see `ResNet`.
        zero_init: the last norm of every block starts at zero, so that blocks start as the identity
            (SlowFast's authors and mmaction2 train from scratch so; the authors of TPN do not).
            Weights that are loaded replace it.
    """
    backbone = ResNet(
        RESNETS[depth].depths,
        block=slow_block(depth),
        in_channels=in_channels,
        width=width,
    )
    if zero_init:
        start_as_identity(backbone)
    return backbone
