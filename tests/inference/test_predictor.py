"""The Predictor: any kind of video, the whole of it, with its time span."""

from __future__ import annotations

from contextlib import closing

import av
import numpy as np
import pytest
import torch

from kinema import checkpoint
from kinema.data import ArrayReader, VideoError, open_reader
from kinema.inference import Predictor
from kinema.models import create_model
from kinema.types import EvalProtocol, InputSpec, Record

LABELS = ("a", "b", "c")


@pytest.fixture(scope="module")
def frames():
    """(40, 32, 48, 3): each frame is as bright as its number."""
    levels = np.arange(40, dtype=np.uint8) * 6
    return np.broadcast_to(levels[:, None, None, None], (40, 32, 48, 3)).copy()


@pytest.fixture(scope="module")
def video(frames, tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "v.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=20, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    spec = InputSpec(frames=4, resize=32, crop=24)
    made = create_model("tsm_resnet18", labels=LABELS, width=8, input=spec)
    with torch.no_grad():
        made.head.fc.weight.normal_(std=0.3)
    return made


def test_probabilities_and_span(model, video):
    prediction = Predictor(model).predict(video)
    assert prediction.labels == LABELS
    assert float(prediction.scores.sum()) == pytest.approx(1)
    # the middles of four segments of ten frames at 20 frames per second
    assert prediction.start == pytest.approx(5 / 20)
    assert prediction.end == pytest.approx(36 / 20)
    assert [name for name, _ in prediction.top(5)] != []
    assert prediction.top(1)[0][1] == float(prediction.scores.max())


def test_dense_views_cover_the_whole_video(video):
    spec = InputSpec(frames=4, sampling="dense", stride=2, resize=32, crop=24)
    model = create_model("tsm_resnet18", labels=LABELS, width=8, input=spec)
    prediction = Predictor(model, protocol="10x1").predict(video)
    assert prediction.start == 0
    assert prediction.end == pytest.approx(2.0, abs=0.2)


def test_a_file_says_everything(model, video, tmp_path):
    checkpoint.save(model, tmp_path / "m.safetensors")
    loaded = Predictor(tmp_path / "m.safetensors").predict(video)
    torch.testing.assert_close(loaded.scores, Predictor(model).predict(video).scores)
    assert loaded.labels == LABELS


def test_path_reader_and_text_agree(model, video):
    predictor = Predictor(model, protocol="2x3")
    by_path = predictor.predict(video).scores
    torch.testing.assert_close(predictor.predict(str(video)).scores, by_path)
    reader = open_reader(Record("v", video, None))
    torch.testing.assert_close(predictor.predict(reader).scores, by_path, rtol=0.02, atol=0.01)
    assert len(reader.read([0])) == 1  # still open
    reader.close()


def test_frames_in_memory(model, frames):
    predictor = Predictor(model)
    prediction = predictor.predict(frames, fps=10)
    assert (prediction.start, prediction.end) == (pytest.approx(0.5), pytest.approx(3.6))
    again = predictor.predict(ArrayReader(frames, 10, short_side=32))
    assert torch.equal(prediction.scores, again.scores)


def test_a_stretch(model, video, frames):
    part = Predictor(model).predict(video, start=1.0, end=1.5)
    assert part.start >= 1.0
    assert part.end <= 1.5


def test_batches_change_nothing(model, video):
    a, b = (Predictor(model, protocol="3x3", batch=n).predict(video).scores for n in (1, 9))
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_average_of_logits(model, frames):
    protocol = EvalProtocol(views=2, average="logit")
    prediction = Predictor(model, protocol=protocol).predict(frames)
    other = Predictor(model, protocol=EvalProtocol(views=2)).predict(frames)
    assert not torch.equal(prediction.scores, other.scores)


def test_model_is_in_eval_mode(model, frames):
    model.train()
    predictor = Predictor(model)
    assert not model.training
    assert torch.equal(predictor.predict(frames).scores, predictor.predict(frames).scores)


@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 32, 32), np.uint8), np.zeros((4, 32, 32, 3), np.float32)]
)
def test_frames_of_another_kind(model, wrong):
    with pytest.raises(ValueError, match=r"must be \(T, H, W, 3\) uint8"):
        Predictor(model).predict(wrong)


def test_no_frames(model):
    with pytest.raises((ValueError, VideoError), match="no frames"):
        Predictor(model).predict(np.zeros((0, 32, 32, 3), np.uint8))


def test_a_missing_video_is_named(model):
    with pytest.raises((VideoError, OSError), match="nowhere.mp4"):
        Predictor(model).predict("nowhere.mp4")


def test_a_model_of_flow_takes_videos_and_frames(video):
    """Both have the same frames here, and so the same flow."""
    pytest.importorskip("cv2", reason="OpenCV (extra flow) is not installed")
    spec = InputSpec(modality="flow", stack=5, frames=2, resize=32, crop=24)
    predictor = Predictor(create_model("tsm_resnet18", labels=LABELS, width=8, input=spec))
    with closing(open_reader(Record("v", video, None))) as reader:
        frames = reader.read(range(len(reader))).movedim(1, -1).numpy()
    a, b = predictor.predict(video), predictor.predict(frames, fps=20)
    assert torch.equal(a.scores, b.scores)
    assert (a.start, a.end) == pytest.approx((b.start, b.end))
    with pytest.raises(VideoError, match=r"\[frames in memory\]: has one frame; flow is what"):
        predictor.predict(frames[:1])


def test_settings(model):
    with pytest.raises(ValueError, match="batch=0 must be at least 1"):
        Predictor(model, batch=0)
    with pytest.raises(ValueError, match="protocol '5' must be"):
        Predictor(model, protocol="5")
