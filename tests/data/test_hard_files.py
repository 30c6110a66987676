"""Files that break readers: exactly the right frames, or an error that says which one and why."""

from __future__ import annotations

import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from kinema.data.readers import DECODERS, Decoder, VideoError, check_decoder, open_reader
from kinema.types import Record

from .hard_files import CASES, COUNT, coded_frames, encode
from .hard_outcomes import outcome


@pytest.fixture(params=DECODERS)
def decoder(request: pytest.FixtureRequest) -> Decoder:
    """Both readers; torchcodec's tests skip, with the reason, where it does not load."""
    _need(request.param)
    return request.param


@pytest.mark.parametrize("name", CASES)
def test_right_frames_or_an_error(
    tmp_path: Path, name: str, decoder: Decoder, repository: Path
) -> None:
    case = CASES[name]
    path = case.write(tmp_path / case.file)
    found = outcome(path, case.first, decoder)
    if case.count is None:
        assert found.count is None
        assert found.cause
    elif decoder == "torchcodec" and not case.both:
        assert not found.wrong
        assert found.count in (None, case.count)
        assert "torchcodec" in found.cause
        assert "decoder=pyav may read it" in found.cause
    elif decoder == "torchcodec" and case.damaged:
        assert found.right >= COUNT // 4  # it fills in damage, and cannot be told not to
    elif case.damaged:
        assert found.count == case.count if case.count >= 0 else 10 < found.count <= COUNT
        assert found.right >= COUNT // 4
        assert not found.wrong
    else:
        assert (found.count, found.right, found.refused) == (case.count, case.count, ())
    page = (repository / "docs" / "hard-files.md").read_text(encoding="utf-8")
    # Causes are FFmpeg's words. How many frames a damaged byte costs depends on the bytes that were
    # written, and an encoder may write others on another processor than the page's.
    if f"PyAV {av.__version__}" in page and not (case.damaged and found.count):
        row = next(line for line in page.splitlines() if line.startswith(f"| {name} |"))
        told = row.split(" | ")[1 + DECODERS.index(decoder)].removesuffix(" |")
        assert told == str(found), "run python benchmarks/hard_files.py"


@pytest.mark.parametrize("pixels", ["yuv420p", "yuvj420p", "yuv420p10le", "yuv444p"])
def test_colours_are_what_was_painted(tmp_path: Path, pixels: str, decoder: Decoder) -> None:
    colours = np.array([[0, 0, 0], [255, 255, 255], [200, 30, 60], [20, 180, 90]], np.uint8)
    frames = np.broadcast_to(colours[:, None, None], (4, 32, 48, 3)).copy()
    for full in (False, True):
        path = tmp_path / f"{pixels}-{full}.mp4"
        encode(path, pixels=pixels, frames=frames, full_range=full or "j" in pixels, crf="4")
        reader = open_reader(Record("colours", path, 0), decoder=decoder)
        seen = reader.read(range(4)).float().mean(dim=(2, 3)).numpy()
        reader.close()
        assert np.abs(seen - colours).max() < 4


def test_both_readers_give_the_same_pixels(tmp_path: Path) -> None:
    _need("torchcodec")
    grey = coded_frames().mean(axis=3, keepdims=True).astype(np.uint8).repeat(3, axis=3)
    path = encode(tmp_path / "v.mp4", frames=grey)
    for short_side, limit in ((None, 0.0), (32, 1.5)):  # colours are rounded before scaling
        frames = []
        for decoder in DECODERS:
            record = Record("v", path, 0, 0.4)
            reader = open_reader(record, short_side=short_side, decoder=decoder)
            frames.append(reader.read([30, 0, 7, 7]).float())
            assert reader.times([1])[0] == pytest.approx(0.44)
            assert (len(reader), reader.fps) == (COUNT - 10, 25)
            with pytest.raises(VideoError, match="frame 38: the video has 38 frames"):
                reader.read([38])
            reader.close()
        assert (frames[0] - frames[1]).abs().mean() <= limit
        assert torch.equal(frames[1][2], frames[1][3])


def test_a_reader_that_does_not_load_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)
    with pytest.raises(ImportError, match=r"decoder=torchcodec cannot .*kinema\[fast\].*=pyav"):
        open_reader(Record("v", tmp_path / "v.mp4", 0), decoder="torchcodec")
    with pytest.raises(ValueError, match="decoder='cv2' must be one of pyav, torchcodec"):
        open_reader(Record("v", tmp_path / "v.mp4", 0), decoder="cv2")


def test_tags_in_other_letters_are_no_obstacle(tmp_path: Path) -> None:
    path = encode(tmp_path / "v.mp4")
    path.write_bytes(path.read_bytes().replace(b"VideoHandler", b"Vid\xe9oHandler"))
    assert outcome(path, 0, "pyav").right == COUNT


def _need(decoder: Decoder) -> None:
    try:
        check_decoder(decoder)
    except ImportError as error:
        pytest.skip(str(error))
