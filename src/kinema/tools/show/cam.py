"""Where a model looks: Grad-CAM over time (arXiv:1610.02391), for every model with taps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ... import checkpoint
from ...data import Decoder
from ...engine.runtime import choose_device
from ...files import atomic
from ...models import VideoModel
from ...registry import suggest
from .look import Look, Pictures, look
from .strips import COLUMNS, Strip, sheet, write_figure

STRENGTH = 0.65  # share of colour over the hottest place
SMALLEST = 224  # pixels: smaller pictures are enlarged in the film

Heat = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class CamReport:
    """What speaks for a label.

    Attributes:
        label: the one asked about.
        probability: what the model gives it for this clip.
        tap: where it was looked.
        seconds: (T,) when the frames of the clip are shown.
        share: (T,) each frame's part of all that speaks for the label; zeros where nothing does.
    """

    label: str
    probability: float
    tap: str
    seconds: tuple[float, ...]
    share: tuple[float, ...]


def show_cam(
    file: Path,
    video: Path,
    out: Path,
    *,
    label: str | None = None,
    tap: str | None = None,
    device: str | None = None,
    decoder: Decoder = "pyav",
) -> CamReport:
    """Writes cam.mp4, the video with what speaks for a label, and cam.png, the clip's frames.

    Both show the middle clip in the centre crop. Heat between two frames of the clip is the mean of
    theirs, weighted by distance. One scale holds for the whole clip.

    Args:
        file: a model file.
        video: a file or a folder of frames.
        out: folder.
        label: what to ask about; None: what the model takes the clip for.
        tap: where to look; None: see `default_tap`.
        device: None: a GPU if there is one.
        decoder: what reads video files.

    Raises:
        ValueError: for a label or a tap the model does not have.
    """
    model = checkpoint.load(file, choose_device(device))
    if tap is not None:
        check_tap(model, tap)
    target = _target(model, label)
    shown = look(model, video, decoder=decoder, film=True)
    tap = tap or default_tap(model, shown.clip)
    cam, logits = grad_cam(model, shown.clip, target, tap)
    probabilities = model.spec.protocol.combine(logits[None, None], model.spec.activation)[0]
    target = int(probabilities.argmax()) if target is None else target
    heat = spread(cam, shown)
    total = float(heat.sum())
    report = CamReport(
        label=model.spec.labels[target],
        probability=float(probabilities[target]),
        tap=tap,
        seconds=tuple(shown.seconds.tolist()),
        share=tuple((heat.sum((1, 2)) / max(total, 1e-12)).tolist()),
    )
    over = [overlay(p, h) for p, h in zip(shown.pictures, heat, strict=True)]
    strips = []
    for begin in range(0, len(over), COLUMNS):
        part = slice(begin, begin + COLUMNS)
        seconds, shares = report.seconds[part], report.share[part]
        strips += [
            Strip(name="frames", pictures=list(shown.pictures[part]),
                  captions=[f"{t:.2f} s" for t in seconds]),
            Strip(name=report.label, pictures=over[part],
                  captions=[f"{share:.0%}" for share in shares]),
        ]  # fmt: skip
    title = f"{report.label}: {report.probability:.1%} by {model.spec.name}, tap {tap}"
    write_figure(sheet(strips, title=title), out / "cam.png")
    frames = (overlay(p, h) for p, h in zip(shown.film, between(heat, shown), strict=True))
    write_film(frames, out / "cam.mp4", shown.fps)
    return report


def grad_cam(
    model: VideoModel, clip: Tensor, target: int | None, tap: str
) -> tuple[Tensor, Tensor]:
    """What speaks for a class, at every place and time of a tap.

    relu(sum over channels of w A) where A are the tap's maps and w, per channel and time step, is
    the mean over space of d logit / d A.

    Deviation: the paper has pictures; w is per time step here, so that a channel may speak for the
    class in one frame and not in another.

    Args:
        model: in eval mode.
        clip: (1, C, T, H, W) float, normalised.
        target: class index; None: the most probable.
        tap: name.

    Returns:
        (T', H', W') float32 on the CPU, at least 0; the clip's logits (K,).

    Raises:
        ValueError: for a tap that the logits do not depend on.
    """
    with torch.enable_grad():
        out = model.run(clip.detach().requires_grad_(), taps=[tap])
        maps, scores = out.features[tap], out.logits[0]
        logit = scores[scores.argmax() if target is None else target]
        (gradient,) = torch.autograd.grad(logit, maps, allow_unused=True)
    if gradient is None:
        raise ValueError(
            f"tap {tap} of {model.spec.name} does not reach the logits; "
            f"give one that does, such as {default_tap(model, clip)}"
        )
    weights = gradient.mean((3, 4), keepdim=True)  # (1, C, T', 1, 1)
    cam = (weights * maps).sum(1).relu()[0]  # (T', H', W')
    return cam.detach().float().cpu(), scores.detach().float().cpu()


@torch.no_grad()
def default_tap(model: VideoModel, clip: Tensor) -> str:
    """The last map that has places: of those a neck reads, or of the backbone.

    Behind it nothing is left to look at: `fc7` of C3D, say, has one position. Where no map has more
    than one, the last.

    Args:
        model: any.
        clip: (1, C, T, H, W) float.
    """
    taps = model.neck.taps if model.neck else tuple(model.backbone.tap_channels)
    maps = model.run(clip, taps=taps).features
    return next((tap for tap in reversed(taps) if maps[tap][0, 0, 0].numel() > 1), taps[-1])


def check_tap(model: VideoModel, tap: str) -> None:
    """Raises ValueError with the closest names where the model has no such tap."""
    known = model.backbone.tap_channels
    if tap not in known:
        raise ValueError(
            f"{model.spec.name} has no tap {tap!r}{suggest(tap, known)}; the stages are "
            f"{', '.join(name for name in known if '.' not in name) or ', '.join(known)}"
        )


def spread(cam: Tensor, shown: Look) -> Heat:
    """Heat from 0 to 1 at every pixel of every frame: (T', H', W') -> (T, H, W)."""
    size = shown.pictures.shape[:3]
    heat = F.interpolate(cam[None, None], size=size, mode="trilinear")[0, 0]
    return (heat / heat.max().clamp_min(1e-12)).numpy()


def between(heat: Heat, shown: Look) -> Iterable[Heat]:
    """The heat at every frame of the film, (H, W) each, from that of the clip's frames."""
    places, index = np.unique(shown.places, return_index=True)
    for at in np.interp(shown.film_places, places, np.arange(len(places))):
        low = int(at)
        high = min(low + 1, len(places) - 1)
        share = np.float32(at - low)
        yield heat[index[low]] * (1 - share) + heat[index[high]] * share


def overlay(picture: Pictures, heat: Heat) -> Pictures:
    """A picture (H, W, 3) uint8 under colours that cover it where the heat (H, W) is high."""
    colour = mpl.colormaps["turbo"](heat)[..., :3] * 255
    cover = STRENGTH * heat[..., None]
    mixed: Pictures = (picture * (1 - cover) + colour * cover).round().astype(np.uint8)
    return mixed


def write_film(pictures: Iterable[Pictures], path: Path, fps: float) -> None:
    """Encodes pictures (H, W, 3) uint8 as H.264 in MP4; whole or not at all."""
    with atomic(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        rate = Fraction(fps).limit_denominator(1001)
        stream = container.add_stream("libx264", rate=rate, options={"crf": "18"})
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate(pictures):
            times = -(-SMALLEST // min(picture.shape[:2]))
            large = picture.repeat(times, 0).repeat(times, 1)
            height, width = (side // 2 * 2 for side in large.shape[:2])  # even, as H.264 needs
            if number == 0:
                stream.height, stream.width = height, width
            large = np.ascontiguousarray(large[:height, :width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(large, format="rgb24")))
        container.mux(stream.encode(None))


def _target(model: VideoModel, label: str | None) -> int | None:
    labels = model.spec.labels
    if label is not None and label not in labels:
        raise ValueError(
            f"{model.spec.name} has no label {label!r}{suggest(label, labels)}; "
            f"it knows {', '.join(labels[:5])}{', ...' if len(labels) > 5 else ''}"
        )
    return None if label is None else labels.index(label)
