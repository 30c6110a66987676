from __future__ import annotations

import numpy as np
import pytest
import torch

from kinema import create_model, open_stream
from kinema.inference.stream import StepStream, WindowStream
from kinema.models import VideoModel
from kinema.types import InputSpec

SPEC = InputSpec(frames=4, resize=40, crop=32)


def model(name: str) -> VideoModel:
    made = create_model(name, labels=["a", "b", "c"], input=SPEC, width=8)
    torch.nn.init.normal_(made.head.fc.weight)
    return made.eval()


def video(count: int = 6) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 48, 60, 3), dtype=np.uint8)


def test_steps_smoothed_over_a_clip_are_the_clip() -> None:
    causal, frames = model("tsm_resnet18_causal"), video(4)
    stream = open_stream(causal, smooth=4, fps=10)
    assert isinstance(stream, StepStream)
    predictions = [stream.push(frame) for frame in frames]
    clip = torch.cat([stream._prepare(frame) for frame in frames], dim=2)
    with torch.no_grad():
        whole = causal(SPEC.to_input(clip)).double().softmax(-1)[0]
    last = predictions[-1]
    assert last is not None
    assert torch.allclose(last.scores, whole, atol=1e-5)
    assert (last.start, last.end) == (0.0, 0.4)
    first = predictions[0]
    assert first is not None
    assert (first.start, first.end) == (0.0, 0.1)


def test_a_window_is_the_newest_clip() -> None:
    two_sided, frames = model("tsm_resnet18"), video(6)
    stream = open_stream(two_sided, fps=10)
    assert isinstance(stream, WindowStream)
    predictions = [stream.push(frame) for frame in frames]
    assert [p is None for p in predictions] == [True, True, True, False, False, False]
    clip = torch.cat([stream._prepare(frame) for frame in frames[2:]], dim=2)
    with torch.no_grad():
        newest = two_sided(SPEC.to_input(clip)).double().softmax(-1)[0]
    last = predictions[-1]
    assert last is not None
    assert torch.allclose(last.scores, newest, atol=1e-6)
    assert (last.start, last.end) == (pytest.approx(0.2), pytest.approx(0.6))


def test_left_out_frames_and_a_new_beginning() -> None:
    stream = open_stream(model("tsm_resnet18_causal"), every=2)
    first = [stream.push(frame) for frame in video(5)]
    assert [p is None for p in first] == [False, True, False, True, False]
    stream.reset()
    again = [stream.push(frame) for frame in video(5)]
    for a, b in zip(first, again, strict=True):
        assert (a is None and b is None) or torch.equal(a.scores, b.scores)


def test_impossible_streams_are_refused() -> None:
    with pytest.raises(ValueError, match="every=0 and smooth=1 must be at least 1"):
        open_stream(model("tsm_resnet18"), every=0)
    flow = create_model("tsn_resnet18", width=8, input=InputSpec(modality="flow", stack=5))
    with pytest.raises(ValueError, match="reads flow; a stream has RGB frames"):
        open_stream(flow)
