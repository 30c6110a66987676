"""One clip of a video: as a model gets it, and as people see it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ...data import Decoder, Reader, eval_transform, make_sampler, open_reader, read_views
from ...data.flow import flow_colours
from ...data.transforms import Transform
from ...models import VideoModel
from ...types import EvalProtocol, InputSpec, Record

FILM = 300  # frames at most that a film of the clip has

Pictures = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a model is shown of a video: one clip, the centre crop.

    Attributes:
        clip: (1, C, T, H, W) float, normalised, where the model is.
        pictures: (T, H, W, 3) uint8, the frames of the clip; of flow in colours, the first of
            those stacked at each time step.
        places: (T,) their indices in the video.
        seconds: (T,) when they are shown.
        film: (F, H, W, 3) uint8: the video from the first frame of the clip to the last, in the
            same crop; every second or third frame where there are more than `FILM`.
        film_places: (F,) indices of the film's frames in the video.
        fps: frames of the film per second.
    """

    clip: Tensor
    pictures: Pictures
    places: npt.NDArray[np.int64]
    seconds: npt.NDArray[np.float64]
    film: Pictures
    film_places: npt.NDArray[np.int64]
    fps: float


def look(model: VideoModel, video: Path, *, decoder: Decoder = "pyav", film: bool = False) -> Look:
    """Reads the middle clip of a video, as a test with one view does.

    Args:
        model: says how it is fed.
        video: a file or a folder of frames.
        decoder: what reads video files.
        film: also read the frames between those of the clip; otherwise the film is the clip.

    Raises:
        ImportError: where flow has to be computed and OpenCV is not installed.
        VideoError: naming the file, the frame and the cause.
    """
    spec = model.spec.input
    sampler, transform = make_sampler(spec), eval_transform(spec, EvalProtocol())
    rng = np.random.default_rng(0)  # neither of them draws from it
    record = Record(str(video), video, None)
    opened = open_reader(
        record, spec.modality, short_side=transform.short_side, threads=0, decoder=decoder
    )
    with closing(opened) as reader:
        clips, _ = read_views(reader, spec, sampler, transform, rng)  # (1, C, T, H, W)
        places = sampler(len(reader), rng)[0]
        pictures = _pictures(reader, places, spec, transform)
        film_places, step = places, 1
        if film:
            first, last = int(places.min()), int(places.max())
            step = -(-(last - first + 1) // FILM)
            film_places = np.arange(first, last + 1, step)
        return Look(
            clip=spec.to_input(clips, model.device),
            pictures=pictures,
            places=places,
            seconds=reader.times(places.tolist()),
            film=_pictures(reader, film_places, spec, transform) if film else pictures,
            film_places=film_places,
            fps=reader.fps / step,
        )


def _pictures(
    reader: Reader, places: npt.NDArray[np.int64], spec: InputSpec, transform: Transform
) -> Pictures:
    frames = reader.read(places.tolist())  # (n, C, H, W)
    cut = transform(frames, spec.modality, np.random.default_rng(0))[0]
    if spec.modality == "flow":
        cut = flow_colours(cut)
    return cut.movedim(1, -1).numpy()  # (n, h, w, 3)
