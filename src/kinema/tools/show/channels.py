"""Which channels PEM and MEM let through, frame by frame.

After TDRL, arXiv:2007.07626, the figure on PEM.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ... import checkpoint
from ...data import Decoder
from ...engine.runtime import choose_device
from ...layers.enhancement import MotionEnhancement, ProgressiveEnhancement
from ...models import VideoModel
from ...registry import suggest
from .look import Look, look
from .page import Section, picture, titles, write_page, write_table
from .strips import Strip, chosen, sheet, write_figure

SHOWN = 10  # channels of each kind in a frame

Enhancement = MotionEnhancement | ProgressiveEnhancement


@dataclass(frozen=True, kw_only=True)
class ChannelWeights:
    """What a block's PEM or MEM does to a clip.

    Attributes:
        block: name.
        maps: (C, T, H, W), as they reach it, not weighted.
        weights: (T, C), from 0 to 1.
        order: (T, C) channels of every frame, the most enhanced first; of equals the lower number.
    """

    block: str
    maps: Tensor
    weights: Tensor
    order: Tensor


def show_channels(
    file: Path,
    video: Path,
    out: Path,
    *,
    block: str | None = None,
    device: str | None = None,
    decoder: Decoder = "pyav",
) -> ChannelWeights:
    """Draws the channels of a block that PEM or MEM enhances and suppresses most in every frame.

    Args:
        file: a model file.
        video: a file or a folder of frames; its middle clip is shown in the centre crop.
        out: folder for channels.png, channels.csv (the weight of every channel in every frame) and
            page.html.
        block: such as `layer1.1`; None: the first that has one, whose maps are the finest.
        device: None: a GPU if there is one.
        decoder: what reads video files.

    Raises:
        ValueError: for a model or a block without PEM and MEM.
    """
    model = checkpoint.load(file, choose_device(device))
    block = check_block(model, block)
    shown = look(model, video, decoder=decoder)
    found = channel_weights(model, shown.clip, block)
    frames, channels = found.weights.shape
    rank = found.order.argsort(1)
    write_table(
        out / "channels.csv",
        [
            {
                "frame": t,
                "channel": c,
                "weight": float(found.weights[t, c]),
                "rank": int(rank[t, c]),
            }
            for t in range(frames)
            for c in range(channels)
        ],
    )
    figure = sheet(_strips(found, shown), title=f"{model.spec.name}, {block}: {channels} channels")
    write_figure(figure, out / "channels.png")
    ends = found.weights.min(1).values.tolist(), found.weights.max(1).values.tolist()
    section = Section(
        heading="Most enhanced and most suppressed channels",
        lead="Rows: the clip, the mean over all channels as they come, then the single channels "
        "with the largest weights and those with the smallest, in every frame by itself, with "
        "channel number and weight. The maps are not weighted; each has its own scale. A channel "
        "that shows what moves should be among the first, one that shows the ground among the "
        "last.",
        pictures=(picture(out / "channels.png", f"channels of {block}"),),
        columns=("frame", "second", "smallest weight", "largest weight"),
        rows=tuple(
            (str(t), f"{shown.seconds[t]:.2f}", f"{ends[0][t]:.3f}", f"{ends[1][t]:.3f}")
            for t in range(frames)
        ),
    )
    write_page(
        out,
        kind="kinema show channels",
        title=titles([file])[0],
        subtitle=f"{video}, {block}",
        sections=[section],
    )
    return found


def enhanced_blocks(model: VideoModel) -> dict[str, tuple[nn.Sequential, Enhancement]]:
    """Block -> what its temporal module does before PEM or MEM, and that."""
    assert isinstance(model.backbone, nn.Module)
    found = {}
    for tap in model.backbone.tap_channels:
        block = tap.removesuffix(".before")
        if block == tap:
            continue
        temporal = model.backbone.get_submodule(f"{block}.temporal")
        parts = list(temporal) if isinstance(temporal, nn.Sequential) else [temporal]
        for place, part in enumerate(parts):
            if isinstance(part, Enhancement):
                found[block] = nn.Sequential(*parts[:place]), part
                break
    return found


def check_block(model: VideoModel, block: str | None) -> str:
    """A block with PEM or MEM; None: the first. Raises ValueError naming those there are."""
    known = list(enhanced_blocks(model))
    if not known:
        raise ValueError(
            f"{model.spec.name} has no PEM or MEM in its blocks; show channels needs one, such as "
            "tdrl_resnet18 or teinet_resnet50 have"
        )
    if block is not None and block not in known:
        raise ValueError(
            f"{model.spec.name} has no PEM or MEM in {block!r}{suggest(block, known)}; "
            f"it has in {', '.join(known)}"
        )
    return block or known[0]


@torch.no_grad()
def channel_weights(model: VideoModel, clip: Tensor, block: str) -> ChannelWeights:
    """The weights of a block for a clip (1, C, T, H, W), from the block's tap `before`."""
    first, enhancement = enhanced_blocks(model)[block]
    tap = f"{block}.before"
    maps: Tensor = first(model.run(clip, taps=[tap]).features[tap])
    weights = enhancement.weights(maps)[0].cpu()  # (T, C)
    order = weights.sort(dim=1, descending=True, stable=True).indices
    return ChannelWeights(block=block, maps=maps[0].cpu(), weights=weights, order=order)


def _strips(found: ChannelWeights, shown: Look) -> list[Strip]:
    here = chosen(len(shown.pictures))
    count = min(SHOWN, found.order.shape[1] // 2)
    captions = [f"{shown.seconds[t]:.2f} s" for t in here]
    strips = [
        Strip(name="clip", pictures=[shown.pictures[t] for t in here], captions=captions),
        Strip(name="all", pictures=[found.maps[:, t].mean(0).numpy() for t in here]),
    ]
    for name, places in (
        ("enhanced", range(count)),
        ("suppressed", range(-1, -count - 1, -1)),
    ):
        for number, place in enumerate(places, start=1):
            channels = found.order[:, place].tolist()
            strips.append(_row(f"{name} {number}", found, here, channels))
    return strips


def _row(name: str, found: ChannelWeights, here: Sequence[int], channels: Sequence[int]) -> Strip:
    return Strip(
        name=name,
        pictures=[found.maps[channels[t], t].numpy() for t in here],
        captions=[f"{channels[t]}: {float(found.weights[t, channels[t]]):.3f}" for t in here],
    )
