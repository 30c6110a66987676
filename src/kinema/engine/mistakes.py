"""The most confidently wrong videos of a test, each with a strip of frames: look here first."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.image import imsave

from ..data.flow import flow_colours
from ..data.readers import VideoError, is_flow_folder, open_reader
from ..types import Record
from .metrics import Ints
from .scores import Scores

FRAMES = 4
HEIGHT = 96  # pixels of a thumbnail


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One wrong video: what it is, what it was taken for, and how it looks.

    Of several true labels, `true_probability` is that of the most probable. `strip` is a data URI
    of four frames side by side; where the video cannot be read it is empty and `note` says why.
    """

    id: str
    true: str
    predicted: str
    true_probability: float
    predicted_probability: float
    strip: str
    note: str


def worst_mistakes(scores: Scores, *, limit: int = 12) -> list[Mistake]:
    """The wrong videos whose predicted label has the highest probability, worst first."""
    rows = []
    for index in rank_mistakes(scores)[:limit]:
        predicted, true = int(scores.probs[index].argmax()), np.flatnonzero(scores.truth[index])
        strip, note = "", ""
        try:
            strip = film_strip(scores.paths[index], *scores.spans[index])
        except (VideoError, OSError) as error:
            note = f"no picture: {error}"
        rows.append(
            Mistake(
                id=scores.ids[index],
                true=", ".join(scores.labels[label] for label in true),
                predicted=scores.labels[predicted],
                true_probability=float(scores.probs[index, true].max()),
                predicted_probability=float(scores.probs[index, predicted]),
                strip=strip,
                note=note,
            )
        )
    return rows


def rank_mistakes(scores: Scores) -> Sequence[int]:
    """Indices of the wrong videos, the most confident first."""
    wrong = np.flatnonzero(~scores.right)
    order: Ints = np.argsort(-scores.probs[wrong].max(axis=1), kind="stable")
    return [int(i) for i in wrong[order]]


def film_strip(path: Path, start: float, end: float) -> str:
    """Four frames between two times in seconds, side by side, as the data URI of a JPEG.

    Of a folder of flow: in colours.
    """
    stored = is_flow_folder(path)
    record = Record(str(path), path, None)
    opened = open_reader(record, "flow" if stored else "rgb", short_side=HEIGHT)
    with closing(opened) as reader:
        last = len(reader) - 1
        times = np.linspace(start, end, FRAMES)
        indices = [min(max(round(t * reader.fps), 0), last) for t in times]
        frames = reader.read(indices)  # (4, C, H, W)
    if stored:
        frames = flow_colours(frames)
    picture = np.concatenate([f.movedim(0, -1).numpy() for f in frames], axis=1)  # (H, 4*W, C)
    buffer = BytesIO()
    imsave(buffer, picture, format="jpg", pil_kwargs={"quality": 80})
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
