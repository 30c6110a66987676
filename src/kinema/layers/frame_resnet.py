"""The image ResNet of a depth over clips: what the 2D families share."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from .nonlocal_block import Affinity, NonLocal
from .resnet import RESNETS, ResNet, Site
from .shift import TemporalPool

ModuleFactory = Callable[[Site], nn.Module | None]

# Behind which blocks of which stages the TSM authors put non-local blocks.
NON_LOCAL_SITES = {2: (0, 2), 3: (0, 2, 4)}


def _nothing(site: Site) -> None:
    return None


def frame_resnet(
    depth: int,
    *,
    in_channels: int = 3,
    width: int = 64,
    temporal: ModuleFactory = _nothing,
    before: ModuleFactory = _nothing,
    inner: ModuleFactory = _nothing,
    tail: ModuleFactory = _nothing,
    non_local: Affinity | None = None,
    temporal_pool: bool = False,
) -> ResNet:
    """The image ResNet of a depth, with temporal modules where the factories put them.

    Args:
        depth: 18, 34, 50, 101 or 152.
        in_channels: C of the clip.
        width: see `ResNet`.
        temporal: the module at the start of each residual branch; None for a site leaves it out.
        before: the module in front of each block.
        inner: the module behind each branch's first convolution, on `site.width` channels.
        tail: the module at the end of each branch.
        non_local: adds non-local blocks of this affinity behind some blocks of stages 2 and 3.
        temporal_pool: halves T in front of stage 2.
    """
    layout = RESNETS[depth]

    def after(site: Site) -> nn.Module | None:
        if non_local is None or site.index not in NON_LOCAL_SITES.get(site.stage, ()):
            return None
        return NonLocal(site.width * layout.block.expansion, non_local)

    return ResNet(
        layout.depths,
        block=lambda site: layout.block(
            site,
            temporal=temporal(site),
            before=before(site),
            inner=inner(site),
            tail=tail(site),
            after=after(site),
        ),
        in_channels=in_channels,
        width=width,
        before_stage={2: TemporalPool()} if temporal_pool else None,
    )
