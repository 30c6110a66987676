"""What a temporal module does to the maps, and how much its frames resemble one another.

After TDRL, arXiv:2007.07626, the figure on the temporal diversity loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure, FigureBase
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from ... import checkpoint
from ...data import Decoder
from ...engine.runtime import choose_device
from ...losses.diversity import frame_similarity, last_temporal_taps
from ...models import VideoModel
from ...progress import Progress
from ...registry import suggest
from .look import Look, look
from .page import Section, picture, titles, write_page, write_table
from .strips import Strip, chosen, draw_strips, strips_size, write_figure

PLACES = ("before", "temporal")
MATRICES = 2.9  # inches that the matrices take below the maps
WORDS = {"before": "before the temporal module", "temporal": "behind it"}


@dataclass(frozen=True, kw_only=True)
class Resemblance:
    """How alike the frames of a clip are at one tap, or those of several clips on average.

    Attributes:
        model: short name.
        tap: of the map.
        place: `before` the temporal module or behind it, `temporal`.
        similarity: mean of the matrix over all pairs of different frames; nan where it has none.
        matrix: (T, T), see `alike`; the mean over the videos where there are several.
    """

    model: str
    tap: str
    place: str
    similarity: float
    matrix: Tensor


def show_similarity(
    files: Sequence[Path],
    video: Path,
    out: Path,
    *,
    also: Sequence[Path] = (),
    blocks: Sequence[str] = (),
    device: str | None = None,
    decoder: Decoder = "pyav",
) -> list[Resemblance]:
    """Draws maps before and behind temporal modules, and the similarity of every two frames.

    Each model sees its own clip of the video: the middle one, in the centre crop.

    Args:
        files: one or two model files.
        video: a file or a folder of frames; the maps are of this one.
        also: further videos; similarities are means over all of them.
        out: folder for one picture per block (`layer4.1.png`), similarity.csv and page.html.
        blocks: such as `layer3.1`; (): the last of each of the last three stages, of the first
            model.
        device: None: a GPU if there is one.
        decoder: what reads video files.

    Raises:
        ValueError: for more than two models, and for a block that a model does not have.
    """
    if not 1 <= len(files) <= 2:
        raise ValueError(f"show similarity takes one model file or two, not {len(files)}")
    names, where = titles(files), choose_device(device)
    models = [checkpoint.load(file, where) for file in files]
    blocks = blocks or _last_blocks(models[0])
    for model in models:
        _check(model, blocks)
    taps = [f"{block}.{place}" for block in blocks for place in PLACES]
    looks = [look(model, video, decoder=decoder) for model in models]
    maps = [_maps(model, shown, taps) for model, shown in zip(models, looks, strict=True)]
    found = {
        (name, tap): resemblance(name, tap, features[tap])
        for name, features in zip(names, maps, strict=True)
        for tap in taps
    }
    if also:
        matrices = {place: [row.matrix] for place, row in found.items()}
        with Progress("videos", len(also)) as progress:
            for other in also:
                for name, model in zip(names, models, strict=True):
                    features = _maps(model, look(model, other, decoder=decoder), taps)
                    for tap in taps:
                        matrices[name, tap].append(alike(features[tap]))
                progress.advance()
        found = {
            (name, tap): _resemblance(name, tap, torch.stack(several).nanmean(0))
            for (name, tap), several in matrices.items()
        }
    rows = list(found.values())
    write_table(
        out / "similarity.csv",
        [{key: getattr(row, key) for key in ("model", "tap", "place", "similarity")}
         for row in rows],
    )  # fmt: skip
    pictures = []
    for block in blocks:
        figure = _figure(block, names, looks, maps, found)
        write_figure(figure, out / f"{block}.png")
        pictures.append(picture(out / f"{block}.png", f"maps and similarities of {block}"))
    section = Section(
        heading="Maps and similarities",
        lead="Mean over the channels of what enters a residual branch, before and behind its "
        "temporal module; all maps of a row share one scale. The matrices show the cosine "
        "similarity of every two frames, channel by channel, mean over the channels that are alive "
        "in both; their mean leaves out the diagonal.",
        pictures=tuple(pictures),
        columns=("model", "tap", "place", "mean similarity"),
        rows=tuple((row.model, row.tap, WORDS[row.place], _number(row.similarity)) for row in rows),
    )
    write_page(
        out,
        kind="kinema show similarity",
        title=" and ".join(names),
        subtitle=f"{video}, {', '.join(blocks)}"
        + (f"; similarities: mean of {1 + len(also)} videos" if also else ""),
        sections=[section],
    )
    return rows


def resemblance(model: str, tap: str, x: Tensor) -> Resemblance:
    """How alike the frames of a map (1, C, T, H, W) are."""
    return _resemblance(model, tap, alike(x))


def _resemblance(model: str, tap: str, matrix: Tensor) -> Resemblance:
    others = matrix[~torch.eye(len(matrix), dtype=torch.bool)]
    return Resemblance(
        model=model,
        tap=tap,
        place=tap.rpartition(".")[2],
        similarity=float(others.nanmean()),
        matrix=matrix,
    )


def alike(x: Tensor) -> Tensor:
    """Cosine similarity of every two frames, mean over the channels that are alive in both.

    The temporal diversity loss counts a channel without any activity as similar to nothing, which
    would look here as if its frames differed.

    Args:
        x: (1, C, T, H, W).

    Returns:
        (T, T) on the CPU; nan where no channel is alive in both frames.
    """
    each = frame_similarity(x)[0].cpu()  # (C, T, T)
    alive = each.diagonal(dim1=1, dim2=2) > 0.5  # a map that is not zero is 1 to itself
    both = alive[:, :, None] & alive[:, None, :]
    return (each * both).sum(0) / both.sum(0)  # 0 / 0 is nan


def _last_blocks(model: VideoModel) -> tuple[str, ...]:
    taps = last_temporal_taps(model.backbone.tap_channels)
    return tuple(tap.removesuffix(".temporal") for tap in taps)


def _check(model: VideoModel, blocks: Sequence[str]) -> None:
    suffix = ".before"
    known = [tap.removesuffix(suffix) for tap in model.backbone.tap_channels if suffix in tap]
    if not known:
        raise ValueError(
            f"{model.spec.name} has no residual blocks with taps before and behind a temporal "
            "module; show similarity needs them"
        )
    if not blocks:
        raise ValueError(f"give --blocks for {model.spec.name}, of {', '.join(known)}")
    for block in blocks:
        if block not in known:
            raise ValueError(
                f"{model.spec.name} has no block {block!r}{suggest(block, known)}; "
                f"it has {', '.join(known)}"
            )


@torch.no_grad()
def _maps(model: VideoModel, shown: Look, taps: Sequence[str]) -> dict[str, Tensor]:
    return model.run(shown.clip, taps=taps).features


def _figure(
    block: str,
    names: Sequence[str],
    looks: Sequence[Look],
    maps: Sequence[Mapping[str, Tensor]],
    found: Mapping[tuple[str, str], Resemblance],
) -> Figure:
    """One model beside the other: its clip, its maps, and its matrices below."""
    columns = max(len(chosen(len(shown.pictures))) for shown in looks)
    width, height = strips_size(columns, 1 + len(PLACES))
    figure = Figure(figsize=(width * len(names), height + MATRICES))
    parts = figure.subfigures(1, len(names), squeeze=False)[0]
    for part, name, shown, features in zip(parts, names, looks, maps, strict=True):
        above, below = part.subfigures(2, 1, height_ratios=(height, MATRICES))
        above.suptitle(f"{name}, {block}", fontsize=9)
        draw_strips(above, _strips(shown, [features[f"{block}.{place}"] for place in PLACES]))
        _matrices(below, [found[name, f"{block}.{place}"] for place in PLACES])
    return figure


def _strips(shown: Look, features: Sequence[Tensor]) -> list[Strip]:
    here = chosen(len(shown.pictures))
    seconds = [f"{shown.seconds[i]:.2f} s" for i in here]
    strips = [Strip(name="clip", pictures=[shown.pictures[i] for i in here], captions=seconds)]
    means = [x[0].mean(0).cpu().numpy() for x in features]  # (T', H, W)
    low, high = min(float(m.min()) for m in means), max(float(m.max()) for m in means)
    for place, mean in zip(PLACES, means, strict=True):
        shares = np.linspace(0, len(mean) - 1, len(here)).round().astype(int)
        strips.append(Strip(name=place, pictures=list(mean[shares]), scale=(low, high)))
    return strips


def _matrices(host: FigureBase, rows: Sequence[Resemblance]) -> None:
    grid = host.subplots(1, len(rows), gridspec_kw={"top": 0.85, "bottom": 0.16})
    for axes, row in zip(grid, rows, strict=True):
        shown = axes.imshow(row.matrix.numpy(), cmap="viridis", vmin=0, vmax=1)
        axes.set_title(f"{row.place}, mean {_number(row.similarity)}", fontsize=8)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(8, integer=True))
        axes.tick_params(labelsize=6)
        axes.set_xlabel("frame", fontsize=7)
    host.colorbar(shown, ax=grid, shrink=0.8).ax.tick_params(labelsize=6)


def _number(value: float) -> str:
    return "-" if value != value else f"{value:.3f}"
