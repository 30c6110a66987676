"""Copies have the frames and times of their originals; a bad file does not stop the others."""

from contextlib import closing
from pathlib import Path

import av
import numpy as np
import pytest

from kinema.data.readers import open_reader
from kinema.data.transcode import SETTINGS_FILE, Encoding, transcode
from kinema.types import Record

from .conftest import numbered_frames, numbers_of, write_video

SMALL = Encoding(short_side=32, keyint=5)


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Three good videos, a broken one, a list and a hidden file."""
    root = tmp_path / "videos"
    write_video(root / "cat" / "long one.mp4", numbered_frames(40), options={"g": "250"})
    write_video(root / "cat" / "old.avi", numbered_frames(9), codec="mpeg4")
    stamps = [0, 1, 2, 5, 6, 11]
    write_video(root / "dog" / "deep" / "uneven.mkv", numbered_frames(6), stamps=stamps)
    (root / "dog" / "empty.mp4").write_bytes(b"")
    (root / "list.txt").write_text("cat/old.avi 0\n")
    (root / ".hidden.mp4").write_bytes(b"x")
    return root


def keys_and_size(path: Path) -> tuple[list[int], int]:
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        packets.sort(key=lambda p: p.pts or 0)
        keys = [i for i, p in enumerate(packets) if p.is_keyframe]
        return keys, container.streams.video[0].height


def test_copies_keep_the_layout_the_frames_and_the_times(videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = transcode(videos, out, SMALL, workers=2, shown=False)
    there = sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file())
    assert there == [
        "cat/long one.mp4", "cat/old.mp4", "dog/deep/uneven.mp4", "list.txt", SETTINGS_FILE,
    ]  # fmt: skip
    assert (done.skipped, done.copied, done.renamed) == (0, 1, 2)
    assert [one.source.name for one in done.failed] == ["empty.mp4"]
    assert "the file is empty" in done.failed[0].error
    for name, copy in (("cat/long one.mp4",) * 2, ("dog/deep/uneven.mkv", "dog/deep/uneven.mp4")):
        before, after = (Record("x", path, None) for path in (videos / name, out / copy))
        with closing(open_reader(before)) as a, closing(open_reader(after)) as b:
            every = range(len(a))
            assert len(b) == len(a)
            assert np.allclose(a.times(every), b.times(every), atol=1e-4)
            assert numbers_of(b.read(every)) == list(every)
    keys, height = keys_and_size(out / "cat" / "long one.mp4")
    assert height == 32
    assert keys[0] == 0
    assert max(np.diff([*keys, 40])) <= 5


def test_a_second_run_does_only_what_is_missing(videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    transcode(videos, out, SMALL, workers=0, shown=False)
    kept, gone = out / "cat" / "long one.mp4", out / "cat" / "old.mp4"
    stamp = kept.stat().st_mtime_ns
    gone.unlink()
    done = transcode(videos, out, SMALL, workers=0, shown=False)
    assert kept.stat().st_mtime_ns == stamp
    assert done.skipped == 2
    assert [one.source.name for one in done.written] == ["old.avi", "empty.mp4"]
    assert gone.exists()
    with pytest.raises(ValueError, match="another encoding .*choose another folder"):
        transcode(videos, out, Encoding(short_side=64), shown=False)


def test_small_and_odd_videos_are_not_enlarged(tmp_path: Path) -> None:
    path = tmp_path / "in" / "odd.mkv"
    path.parent.mkdir()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 51, 33, "bgr0"
        for pixels in numbered_frames(3, width=51, height=33):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    transcode(tmp_path / "in", tmp_path / "out", workers=0, shown=False)
    with closing(open_reader(Record("x", tmp_path / "out" / "odd.mp4", None))) as reader:
        assert reader.read([2]).shape == (1, 3, 32, 48)


def test_folders_that_do_not_fit(videos: Path, tmp_path: Path) -> None:
    (videos / "cat" / "old.mkv").write_bytes(b"x")
    with pytest.raises(ValueError, match="would both become .*old.mp4; rename one"):
        transcode(videos, tmp_path / "out", shown=False)
    with pytest.raises(ValueError, match="must not lie inside"):
        transcode(videos, videos / "small", shown=False)
    with pytest.raises(ValueError, match="must be a folder"):
        transcode(tmp_path / "gone", tmp_path / "out", shown=False)
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="holds no videos"):
        transcode(tmp_path / "none", tmp_path / "out", shown=False)


@pytest.mark.parametrize("wrong", [{"short_side": 33}, {"keyint": 0}, {"crf": 60}])
def test_wrong_encodings(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Encoding(**wrong)
