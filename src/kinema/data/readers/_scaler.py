"""The one resize filter: every reader hands its frames to swscale, bilinear, in one step.

The filter is part of a model's numerics (two resize filters differ by several grey levels), so
there is only this one, whatever the frames come from.
"""

from __future__ import annotations

import av
import numpy as np
import torch
from av.video.reformatter import Interpolation, VideoReformatter
from torch import Tensor


def short_side_size(height: int, width: int, short_side: int | None) -> tuple[int, int]:
    """(height, width) with the short side as asked and the aspect kept, rounded half up."""
    if short_side is None:
        return height, width
    scale = short_side / min(height, width)
    if height <= width:
        return short_side, max(short_side, int(width * scale + 0.5))
    return max(short_side, int(height * scale + 0.5)), short_side


class Scaler:
    """Turns decoded frames into RGB of a given short side.

    Pixels count as square: a sample aspect ratio in the file is ignored, as the published
    pipelines do. The rotation that phones write beside the picture is applied.

    Args:
        short_side: pixels; None keeps the size.
    """

    def __init__(self, short_side: int | None) -> None:
        if short_side is not None and short_side < 1:
            raise ValueError(f"short_side={short_side} must be at least 1")
        self.short_side = short_side
        self._reformatter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> Tensor:
        """(3, H, W) uint8, upright."""
        height, width = short_side_size(frame.height, frame.width, self.short_side)
        # threads=1: the default asks for one thread per core, for every frame
        rgb = self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format="rgb24",
            interpolation=Interpolation.BILINEAR,
            src_color_range=frame.color_range,
            threads=1,
        )
        pixels = rgb.to_ndarray()  # (H, W, 3)
        if frame.rotation % 90 == 0:
            pixels = np.rot90(pixels, frame.rotation // 90)
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
