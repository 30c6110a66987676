"""Packet indexes: what they say, when they are not believed, and where they are kept."""

from __future__ import annotations

import os
import pickle
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from kinema.data import Manifest, VideoError, build_loader, load_data, open_reader
from kinema.data.doctor import check_data
from kinema.data.examine import examine
from kinema.data.loader import eval_dataset
from kinema.data.readers import PACKETS_FILE, index_cache, write_indexes
from kinema.data.readers import _pyav as pyav
from kinema.data.readers import _stream as stream
from kinema.data.readers._packets import PacketIndex, index_packets
from kinema.types import EvalProtocol, InputSpec, Record

from .conftest import numbered_frames, numbers_of, write_video

SPEC = InputSpec(frames=4, resize=36, crop=32)


def packets(stamps: Iterable[int | None], keys: Iterable[int] = (0,)) -> Any:
    """In the order they are stored; `keys` are places in it."""
    held = set(keys)
    return [
        SimpleNamespace(pts=s, is_keyframe=i in held, is_discard=False, size=99)
        for i, s in enumerate(stamps)
    ]


def index_of(path: Path) -> PacketIndex:
    indexes = index_cache()
    open_reader(Record("v", path, 0), cache=indexes).close()
    found = indexes.get(path)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("stamps", "keys"),
    [(np.arange(300) * 512, [0, 250]), (np.cumsum([7, 900, 1, 2**40]), [0, 2]), ([5], [0])],
)
def test_an_index_is_the_same_after_storing(stamps: Any, keys: list[int]) -> None:
    index = PacketIndex(np.asarray(stamps, np.int64), np.asarray(keys), -3, False, False)
    data = index.to_bytes()
    twin = PacketIndex.from_bytes(data)
    assert twin.stamps.tolist() == list(stamps)
    assert (twin.keys.tolist(), twin.begin) == (keys, -3)
    assert (twin.trusted, twin.steady) == (False, False)
    assert len(data) < 100
    for broken in (b"", data[:-5], b"no index", data[:1] + b"?" + data[2:]):
        with pytest.raises(ValueError, match="packet index"):
            PacketIndex.from_bytes(broken)


def test_b_frames_are_put_in_the_order_they_are_shown() -> None:
    index = index_packets(packets([0, 30, 10, 20, 40, 70, 50, 60], keys=[0, 4]), "h264")
    assert index is not None
    assert index.stamps.tolist() == [0, 10, 20, 30, 40, 50, 60, 70]
    assert index.keys.tolist() == [0, 4]
    assert index.trusted
    assert index.steady


def test_frames_of_an_open_group_may_be_shown_before_its_key_frame() -> None:
    index = index_packets(packets([0, 20, 10, 50, 30, 40], keys=[0, 3]), "h264")
    assert index is not None
    assert index.keys.tolist() == [0, 5]


@pytest.mark.parametrize(
    "stamps",
    [
        [0, 10, None, 30],  # missing
        [0, 10, 10, 30],  # twice
        [0, 10, 9000, *range(20, 400, 10)],  # further from its place than any codec holds frames
        [0, 10, 45, 30, 40, 50],  # shown after a key frame that follows it
    ],
)
def test_stamps_that_cannot_be_are_not_believed(stamps: list[int | None]) -> None:
    assert index_packets(packets(stamps, keys=[0, 4]), "h264") is None


def test_stamps_too_close_to_their_neighbours_are_looked_at_twice() -> None:
    index = index_packets(packets([0, 10, 35, 30, 40, 50]), "h264")
    assert index is not None
    assert not index.steady
    variable = index_packets(packets([0, 10, 20, 50, 60, 300]), "h264")
    assert variable is not None
    assert variable.steady


@pytest.mark.parametrize("moved", [2.5, 60.0, -1.5])
def test_a_frame_with_a_wrong_stamp_moves_no_other(tmp_path: Path, moved: float) -> None:
    """As after damage to the table of an MP4 that holds the stamps."""
    good = write_video(tmp_path / "good.mp4", numbered_frames(60), options={"g": "15", "bf": "2"})
    path = tmp_path / "moved.mp4"
    with av.open(str(good)) as old, av.open(str(path), "w") as new:
        copy = new.add_stream_from_template(old.streams.video[0])
        frame = Fraction(1, 25) / old.streams.video[0].time_base
        for number, packet in enumerate(p for p in old.demux(video=0) if p.size):
            if number == 20:
                packet.pts = max(packet.dts, packet.pts + round(moved * frame))
            packet.stream = copy
            new.mux(packet)
    for index in range(15, 45):
        reader = open_reader(Record("v", path, 0))
        assert numbers_of(reader.read([index])) == [index]
        reader.close()


def test_a_known_file_is_not_passed_over_again(
    numbered_video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexes = index_cache()
    open_reader(Record("v", numbered_video, 0), cache=indexes).close()
    monkeypatch.delattr(pyav, "index_packets")
    reader = open_reader(Record("v", numbered_video, 0), cache=indexes)
    assert numbers_of(reader.read([99, 0, 50])) == [99, 0, 50]
    reader.close()


def test_a_count_is_kept_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "v.h264", numbered_frames(40), options={"bf": "2"})
    stored = tmp_path / PACKETS_FILE
    indexes = index_cache()
    examine(Record("v", path, 0), indexes)
    write_indexes(stored, indexes.entries())
    monkeypatch.delattr(pyav.PyAVReader, "_count_frames")
    reader = open_reader(Record("v", path, 0), cache=index_cache(stored))
    assert len(reader) == 40
    assert numbers_of(reader.read([39, 3])) == [39, 3]
    reader.close()


def test_a_changed_file_or_decoder_is_not_known(tmp_path: Path, numbered_video: Path) -> None:
    path = tmp_path / "v.mp4"
    path.write_bytes(numbered_video.read_bytes())
    index, stored = index_of(path), tmp_path / PACKETS_FILE
    known = index_cache()
    known.put(path, index)
    write_indexes(stored, known.entries())
    assert index_cache(stored).get(path) is not None
    other = index_cache(stored)
    other.version = "another decoder"
    assert other.get(path) is None
    about = path.stat()
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns + 1))
    assert index_cache(stored).get(path) is None
    assert known.get(path) is None


def test_files_add_up_and_damage_only_costs_time(tmp_path: Path, numbered_video: Path) -> None:
    stored, index = tmp_path / PACKETS_FILE, index_of(numbered_video)
    twin = tmp_path / "twin.mp4"
    twin.write_bytes(numbered_video.read_bytes())
    for path in (numbered_video, twin):
        indexes = index_cache()
        indexes.put(path, index)
        write_indexes(stored, indexes.entries())
    assert index_cache(stored).get(numbered_video) is not None
    assert index_cache(stored).get(twin) is not None
    with closing(sqlite3.connect(stored)) as store:
        store.execute("UPDATE packets SET data = x'00'")
        store.commit()
    assert index_cache(stored).get(twin) is None
    stored.write_bytes(b"no data base" * 100)
    assert index_cache(stored).get(twin) is None
    write_indexes(stored, indexes.entries())
    assert index_cache(stored).get(twin) is not None
    stored.unlink()
    assert index_cache(stored).get(twin) is None
    assert not list(tmp_path.glob(".*")), "nothing is left over"


def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kinema.data.readers._index_cache.KEPT", 2)
    indexes, files = index_cache(), [tmp_path / name for name in "abc"]
    for file in files:
        file.touch()
        indexes.put(file, PacketIndex(np.arange(3), np.zeros(1, np.int64), 0))
    assert [indexes.get(file) is not None for file in files] == [False, True, True]
    assert len(pickle.loads(pickle.dumps(indexes)).entries()) == 2


def test_what_check_finds_serves_training(
    toy: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in the loader's processes, which inherit the broken demuxing."""
    root = toy.records[0].path.parent.parent
    check_data(root, tmp_path, SPEC, drop=(), workers=0, shown=False)
    assert (tmp_path / PACKETS_FILE).stat().st_size < 32_768
    train = load_data(tmp_path / "train.jsonl").train
    assert train.packets == tmp_path / PACKETS_FILE
    monkeypatch.delattr(pyav, "index_packets")
    loader = build_loader(eval_dataset(train, SPEC, EvalProtocol()), batch=2, workers=2)
    seen = [name for batch in loader.epoch(0) for name in batch.ids]
    loader.close()
    assert len(seen) == len(train)


def test_time_is_limited(numbered_video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = Record("v", numbered_video, 0)
    with pytest.raises(VideoError, match=r"b12.mp4: nothing came within patience=1e-09 s; .*"):
        open_reader(record, patience=1e-9)
    reader = open_reader(record, patience=60)
    clock = iter(range(0, 100_000, 50))
    monkeypatch.setattr(stream, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    with pytest.raises(VideoError, match=r"b12.mp4, frame 90: nothing came within patience=60 s"):
        reader.read([90])
    reader.close()
