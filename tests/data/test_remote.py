"""Videos behind URLs: the same frames, few bytes, errors that name the URL."""

from __future__ import annotations

import builtins
import http.server
import json
import multiprocessing
import pickle
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import fsspec
import pytest
import torch

from kinema.data import (
    Augment,
    Manifest,
    ManifestError,
    VideoError,
    build_loader,
    load_data,
    open_reader,
    train_dataset,
)
from kinema.data.datasets import read_parts
from kinema.data.flow import FlowSettings, store_flow
from kinema.files import atomic
from kinema.plain import from_plain, to_plain
from kinema.remote import BLOCK, RemoteFile, RemotePath, join, to_path
from kinema.types import InputSpec, Record

from .conftest import numbered_frames, write_pictures, write_video
from .test_loader import same

SPEC = InputSpec(frames=4, resize=48, crop=48)


@pytest.fixture
def memory(toy: Manifest) -> Iterator[str]:
    """`memory://` with the class folders of the toy videos, two of each class for validation."""
    system = fsspec.filesystem("memory")
    for k, record in enumerate(toy.records):
        split = "val" if k < 4 else "train"
        system.pipe_file(f"/toy/{split}/class {k % 2}/{k}.mp4", record.path.read_bytes())
    yield "memory://toy"
    system.rm("/toy", recursive=True)


def test_text_becomes_the_right_kind_of_path() -> None:
    assert type(to_path("a/b.mp4")) is type(Path("a/b.mp4"))
    assert type(to_path("c:/b.mp4")) is type(Path("a"))
    url = to_path("s3://bucket//clips/./a b.mp4")
    assert isinstance(url, RemotePath)
    assert str(url) == "s3://bucket/clips/a b.mp4"
    assert to_path(url) is url
    assert (url.name, url.stem, url.suffix) == ("a b.mp4", "a b", ".mp4")
    assert str(url.parent) == "s3://bucket/clips"
    assert str(url.parent / "../x" / Path("y/z.mp4")) == "s3://bucket/x/y/z.mp4"
    assert str(to_path("https://h/v/a.mp4?key=1/2")) == "https://h/v/a.mp4?key=1/2"
    assert to_path("https://h/v/a.mp4?key=1/2").suffix == ".mp4"
    assert str(to_path("file:///a/b")) == "file:///a/b"
    assert str(to_path("memory://") / "a") == "memory://a"
    assert url == pickle.loads(pickle.dumps(url))
    assert len({url, to_path(str(url))}) == 1
    assert sorted([url / "b", url / "a"]) == [url / "a", url / "b"]


def test_either_side_of_a_join_may_be_a_url() -> None:
    home = Path("/data")
    assert join(home, "a.mp4") == Path("/data/a.mp4")
    assert str(join(home, "s3://b/a.mp4")) == "s3://b/a.mp4"
    assert str(join(to_path("s3://b"), "a.mp4")) == "s3://b/a.mp4"
    assert join(to_path("s3://b"), "/local/a.mp4") == Path("/local/a.mp4")


def test_chains_are_refused() -> None:
    with pytest.raises(ValueError, match="chains protocols with '::'; give the URL of plain files"):
        to_path("zip://a.mp4::s3://b/c.zip")


def test_plain_data_keeps_urls() -> None:
    record = Record("a", to_path("s3://b//x.mp4"), 0)
    assert to_plain(record)["path"] == "s3://b/x.mp4"
    assert from_plain(Record, to_plain(record)) == record


def test_class_folders_are_read(memory: str, toy: Manifest) -> None:
    splits = load_data(memory)
    assert splits.train.labels == ("class 0", "class 1")
    assert [r.id for r in splits.val.records] == [
        "class 0/0.mp4", "class 0/2.mp4", "class 1/1.mp4", "class 1/3.mp4",
    ]  # fmt: skip
    assert str(splits.val.records[0].path) == "memory://toy/val/class 0/0.mp4"
    local = replace(toy.records[0], id="class 0/0.mp4")
    assert (
        splits.val.fingerprint()
        == replace(
            splits.val,
            records=tuple(
                replace(r, path=toy.records[int(r.path.stem)].path) for r in splits.val.records
            ),
        ).fingerprint()
    )
    frames = open_reader(splits.val.records[0], short_side=48).read([0, 7, 15])
    assert torch.equal(frames, open_reader(local, short_side=48).read([0, 7, 15]))


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_those_of_local_files(memory: str, toy: Manifest, workers: int) -> None:
    """Workers are forks here, which see the memory of this process."""
    remote = load_data(memory).train
    local = replace(
        remote,
        records=tuple(replace(r, path=toy.records[int(r.path.stem)].path) for r in remote.records),
    )
    found = []
    for manifest in (remote, local):
        dataset = train_dataset(manifest, SPEC, Augment(), seed=3)
        loader = build_loader(dataset, batch=3, workers=workers, shuffle=True, timeout=60)
        found.append(list(loader.epoch(0)))
        loader.close()
    assert same(*found)


def test_workers_that_start_afresh(toy: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = replace(
        toy, records=tuple(replace(r, path=to_path(f"file://{r.path}")) for r in toy.records)
    )
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    try:
        loader = build_loader(
            train_dataset(remote, SPEC, Augment(), seed=3), batch=5, workers=1, timeout=120
        )
        spawned = list(loader.epoch(0))
        loader.close()
    finally:
        multiprocessing.set_start_method(before, force=True)
    loader = build_loader(train_dataset(toy, SPEC, Augment(), seed=3), batch=5, workers=0)
    assert same(spawned, list(loader.epoch(0)))


def test_manifests_store_urls(memory: str, tmp_path: Path) -> None:
    train = load_data(memory).train
    train.save(tmp_path / "train.jsonl")
    again = Manifest.load(tmp_path / "train.jsonl")
    assert again == train
    fsspec.filesystem("memory").pipe_file(
        "/toy/m.jsonl", (tmp_path / "train.jsonl").read_bytes().replace(b"memory://toy/", b"")
    )
    assert Manifest.load(f"{memory}/m.jsonl").records[0].path == train.records[0].path
    assert read_parts(f"{memory}/m.jsonl")["train"] == train


def test_tables_and_lists_may_be_remote_or_name_urls(memory: str, tmp_path: Path) -> None:
    system = fsspec.filesystem("memory")
    system.pipe_file("/toy/t.csv", b"path,label\ntrain/class 0/4.mp4,a\ntrain/class 1/5.mp4,b\n")
    (tmp_path / "t.csv").write_text(
        "path,label\nmemory://toy/train/class 0/4.mp4,a\nmemory://toy/train/class 1/5.mp4,b\n"
    )
    system.pipe_file("/toy/train.txt", b"train/class 0/4.mp4 0\ntrain/class 1/5.mp4 1\n")
    tables = [read_parts(f"{memory}/t.csv"), read_parts(tmp_path / "t.csv"),
              read_parts(f"lists:{memory}"), read_parts(f"{memory}/train.txt")]  # fmt: skip
    paths = [[str(r.path) for r in parts["train"].records] for parts in tables]
    assert paths == [[f"{memory}/train/class 0/4.mp4", f"{memory}/train/class 1/5.mp4"]] * 4


def test_exports_may_be_remote(memory: str) -> None:
    system = fsspec.filesystem("memory")
    task = {"video": "train/class 0/4.mp4", "id": 1, "class": ["run", "hop"], "annotator": 1}
    system.pipe_file("/toy/export.json", json.dumps([task]).encode())
    system.pipe_file(
        "/toy/annotations.xml",
        b"""<annotations><meta><project><labels><label><name>run</name></label>
        <label><name>hop</name></label></labels><tasks><task><id>0</id><name>t</name><subset>train</subset>
        <source>train/class 0/4.mp4</source></task></tasks></project></meta>
        <image id="0" task_id="0"><tag label="run"/><tag label="hop"/></image></annotations>""",
    )
    for name in ("export.json", "annotations.xml"):
        manifest = read_parts(f"{memory}/{name}")["train"]
        (record,) = manifest.records
        assert str(record.path) == f"{memory}/train/class 0/4.mp4"
        assert {manifest.labels[i] for i in record.labels} == {"run", "hop"}


def test_folders_of_frames(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "clip", numbered_frames(6))
    url = to_path(f"file://{folder}")
    remote, local = (open_reader(Record("a", path, 0)) for path in (url, folder))
    assert torch.equal(remote.read([0, 5]), local.read([0, 5]))


def test_flow_of_remote_videos_is_stored_here(memory: str, tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="OpenCV (extra flow) is not installed")
    done = store_flow(memory, tmp_path, FlowSettings(short_side=24), workers=0, shown=False)
    assert not done.failed
    assert (tmp_path / "train" / "class 0" / "4" / "flow_x_00015.jpg").exists()
    again = store_flow(memory, tmp_path, FlowSettings(short_side=24), workers=0, shown=False)
    assert again.skipped == 10


def test_the_official_layout_of_a_data_set(toy: Manifest, tmp_path: Path) -> None:
    for name in ("classInd.txt", "trainlist01.txt", "testlist01.txt"):
        number = {"trainlist01.txt": " 1"}.get(name, "")
        text = "1 Jump\n" if name == "classInd.txt" else f"Jump/v_Jump_g01_c01.avi{number}\n"
        (tmp_path / name).write_text(text)
    path = tmp_path / "UCF-101/Jump/v_Jump_g01_c01.avi"
    path.parent.mkdir(parents=True)
    path.write_bytes(toy.records[0].path.read_bytes())
    parts = read_parts(f"ucf101:file://{tmp_path}")
    assert [str(r.path) for r in parts["train"].records] == [f"file://{path}"]


def test_a_video_is_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only blocks that are needed travel, each once; reading is right wherever it begins."""
    data = torch.randint(0, 256, (3 * BLOCK + 500,), dtype=torch.uint8).numpy().tobytes()
    (tmp_path / "data").write_bytes(data)
    asked: list[tuple[int, int]] = []
    real = RemotePath.read_range

    def spy(self: RemotePath, start: int, end: int) -> bytes:
        asked.append((start, end))
        return real(self, start, end)

    monkeypatch.setattr(RemotePath, "read_range", spy)
    with to_path(f"file://{tmp_path}/data").open("rb") as file:
        assert isinstance(file, RemoteFile)
        for begin in (0, 10, 3 * BLOCK - 7, 3 * BLOCK + 490, 5):
            file.seek(begin)
            got = b""
            while len(got) < 20 and (piece := file.read(20 - len(got))):
                got += piece
            assert got == data[begin : begin + 20]
        assert file.seek(0, 2) == len(data)
        assert file.read(5) == b""
        assert file.seek(-3, 1) == file.tell() == len(data) - 3
    assert asked == [(0, BLOCK), (2 * BLOCK, 3 * BLOCK), (3 * BLOCK, len(data))]


def test_old_blocks_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kinema.remote.BLOCK", 10)
    monkeypatch.setattr("kinema.remote.BLOCKS", 3)
    (tmp_path / "data").write_bytes(bytes(range(100)))
    file = RemoteFile(RemotePath(f"file://{tmp_path}/data"))
    for begin in range(0, 100, 10):
        file.seek(begin)
        assert file.read(10) == bytes(range(begin, begin + 10))
    assert list(file._blocks) == [7, 8, 9]


@pytest.mark.parametrize("size", [100, None])
def test_servers_that_give_no_parts_or_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int | None
) -> None:
    (tmp_path / "data").write_bytes(bytes(range(100)))
    path = RemotePath(f"file://{tmp_path}/data")
    monkeypatch.setattr("kinema.remote.BLOCK", 10)
    monkeypatch.setattr(RemotePath, "read_range", lambda self, *_: self.read_bytes())
    path._known = replace(path.stat(), st_size=-1 if size is None else size)
    file = RemoteFile(path)
    file.seek(42)
    assert file.read(3) == bytes((42, 43, 44))
    assert file.seek(0, 2) == 100


def test_a_short_answer_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data.mp4").write_bytes(bytes(100))
    monkeypatch.setattr(RemotePath, "read_range", lambda *_: b"short")
    url = f"file://{tmp_path}/data.mp4"
    with pytest.raises(VideoError, match=f"^{url}: cannot be read: 5 bytes came for 0 to 100 of"):
        open_reader(Record("a", to_path(url), 0))


def test_a_connection_that_breaks_names_the_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = torch.randint(0, 256, (40, 128, 128, 3), dtype=torch.uint8).numpy()
    path = write_video(tmp_path / "noise.mp4", noise, options={"g": "4"})
    assert path.stat().st_size > 2**18, "or the decoder would have all of it in its own buffer"
    url = f"file://{path}"
    reader = open_reader(Record("a", to_path(url), 0))

    def fail(self: RemoteFile, number: int) -> bytes:
        with self._path._explained():
            raise TimeoutError("no answer")

    monkeypatch.setattr(RemoteFile, "_block", fail)
    with pytest.raises(VideoError, match=f"^{url}: cannot be read: TimeoutError: no answer$"):
        reader.read([36])


def test_what_is_not_there_is_named(memory: str) -> None:
    with pytest.raises(VideoError, match="^memory://toy/gone.mp4: no such file"):
        open_reader(Record("a", to_path(f"{memory}/gone.mp4"), 0))
    manifest = Manifest("m", ("a",), (Record("a", to_path(f"{memory}/gone.mp4"), 0),))
    with pytest.raises(ManifestError, match="no such file: memory://toy/gone.mp4"):
        manifest.check("test")
    with pytest.raises(FileNotFoundError, match="memory://toy/gone.mp4: no such file"):
        to_path(f"{memory}/gone.mp4").stat()
    with pytest.raises(ValueError, match="no folder or file memory://nothing, and no data set"):
        load_data("memory://nothing")


def test_what_a_protocol_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="nosuch://b/a.mp4 cannot be read: Protocol not known"):
        to_path("nosuch://b/a.mp4").exists()
    real = builtins.__import__

    def without(name: str, *rest: object, **options: object) -> object:
        if name.partition(".")[0] == "s3fs":
            raise ImportError("No module named 's3fs'")
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    expected = r"s3://b/a.mp4 needs a package .*s3fs.*; pip install 'kinema\[remote\]'"
    with pytest.raises(ImportError, match=expected):
        load_data("s3://b/a.mp4")


def test_nothing_is_written_to_a_url(memory: str, tmp_path: Path) -> None:
    train = load_data(memory).train
    for target in (f"{memory}/m.jsonl", "s3://b/m.jsonl"):
        with pytest.raises(ValueError, match="written to folders of this machine, not to a URL"):
            train.save(target)
    with (
        pytest.raises(ValueError, match="not to a URL"),
        atomic(to_path("s3://b/x")),
    ):
        pass
    with pytest.raises(ValueError, match="mode='w'; URLs are only read"):
        to_path("s3://b/x").open("w")


class Ranges(http.server.SimpleHTTPRequestHandler):
    """Serves parts of files, as the servers of data sets do; `log` keeps what was asked for."""

    log: list[tuple[str, str]] = []

    def send_head(self) -> object:
        asked = self.headers.get("Range")
        self.log.append((self.path, asked or self.command))
        path = Path(self.translate_path(self.path))
        if asked is None or not path.is_file():
            return super().send_head()
        begin, _, end = asked.removeprefix("bytes=").partition("-")
        data = path.read_bytes()
        part = data[int(begin) : int(end) + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Content-Range", f"bytes {begin}-{end}/{len(data)}")
        self.end_headers()
        self.wfile.write(part)
        return None

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """A web server of this machine for `tmp_path`; gives the URL of a name."""
    pytest.importorskip("aiohttp", reason="https:// needs aiohttp, which kinema[remote] installs")
    Ranges.log.clear()
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Ranges, directory=str(tmp_path))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield lambda name: f"http://127.0.0.1:{server.server_address[1]}/{name}"
    server.shutdown()
    server.server_close()


def test_over_the_web(web: Callable[[str], str], toy: Manifest, tmp_path: Path) -> None:
    for k, record in enumerate(toy.records):
        path = tmp_path / f"set/class {k % 2}/{k}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(record.path.read_bytes())
    remote = read_parts(web("set"))["train"]
    local = read_parts(tmp_path / "set")["train"]
    assert [r.id for r in remote.records] == [r.id for r in local.records]
    assert remote.fingerprint() == local.fingerprint()
    for workers in (0, 1):
        batches = []
        for manifest in (remote, local):
            dataset = train_dataset(manifest, SPEC, Augment(), seed=1)
            loader = build_loader(dataset, batch=5, workers=workers, timeout=120)
            batches.append(list(loader.epoch(0)))
            loader.close()
        assert same(*batches)
    with pytest.raises(VideoError, match="/set/none.mp4: no such file"):
        open_reader(Record("a", to_path(web("set/none.mp4")), 0))
    with pytest.raises(OSError, match="http://127.0.0.1:9/a.mp4 cannot be read: .*9"):
        to_path("http://127.0.0.1:9/a.mp4").exists()


def test_over_the_web_parts_travel(web: Callable[[str], str], tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(bytes(4 * BLOCK))
    Ranges.log.clear()
    with to_path(web("data.bin")).open("rb") as file:
        file.seek(2 * BLOCK + 5)
        assert file.read(100) == bytes(100)
    asked = [what for _, what in Ranges.log if what.startswith("bytes")]
    assert asked == [f"bytes={2 * BLOCK}-{3 * BLOCK - 1}"]
