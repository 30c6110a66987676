"""Unreadable videos at run time: skipped by one rule, never silently; hanging files are named."""

import os
import signal
import time
from collections import Counter
from dataclasses import replace

import pytest

from kinema.data import (
    Augment,
    Manifest,
    VideoDataset,
    VideoError,
    build_loader,
    eval_dataset,
    train_dataset,
)
from kinema.data.fetch import DRAWS
from kinema.data.loader import Loader
from kinema.data.order import EpochOrder
from kinema.data.unread import TooManyUnreadError, Unread, allowed, check_unread
from kinema.types import Batch, EvalProtocol, InputSpec, Record, Sample

from .test_loader import same

SPEC = InputSpec(frames=4, resize=48, crop=48)


@pytest.fixture(scope="module")
def damaged(toy: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The toy videos, the third and the seventh of them unreadable."""
    records = list(toy.records)
    for index in (2, 6):
        path = tmp_path_factory.mktemp("damaged") / f"bad{index}.mp4"
        path.write_bytes(b"no video at all")
        records[index] = replace(records[index], path=path)
    return replace(toy, records=tuple(records))


def train_loader(manifest: Manifest, **options: object) -> Loader:
    dataset = train_dataset(manifest, SPEC, Augment(), seed=5)
    settings = {"batch": 2, "workers": 0, "shuffle": True, "seed": 5, "on_error": "skip"}
    return build_loader(dataset, **{**settings, **options})


def run(loader: Loader, epoch: int = 0, skip: int = 0) -> tuple[list[Batch], list[Unread]]:
    try:
        batches = list(loader.epoch(epoch, skip))
        return batches, loader.take_unread()
    finally:
        loader.close()


def test_another_video_takes_the_place(toy: Manifest, damaged: Manifest) -> None:
    whole, none = run(train_loader(toy))
    batches, unread = run(train_loader(damaged))
    assert not none
    assert {one.id for one in unread} == {"clip2", "clip6"}
    for one in unread:
        assert one.cause.endswith(": cannot be opened: Invalid data found when processing input")
    pairs = [
        (a, b)
        for x, y in zip(whole, batches, strict=True)
        for a, b in zip(x.ids, y.ids, strict=True)
    ]
    instead = {one.id: one.instead for one in unread}
    changed = {a: b for a, b in pairs if a != b}
    assert changed == {name: instead[name] for name in ("clip2", "clip6")}
    assert not {"clip2", "clip6"} & set(changed.values())


@pytest.mark.parametrize("augment", [Augment(), Augment(mixup=0.3)])
def test_workers_ranks_and_skipped_batches_change_nothing(
    damaged: Manifest, augment: Augment
) -> None:
    alone, unread = run(train_loader(damaged, augment=augment), epoch=3)
    spread, again = run(train_loader(damaged, augment=augment, workers=2), epoch=3)
    assert same(alone, spread)
    assert unread == again
    tail, _ = run(train_loader(damaged, augment=augment), epoch=3, skip=2)
    assert same(alone[2:], tail)
    if augment.mixup:
        return
    ranks = [run(train_loader(damaged, batch=1, rank=r, world=2), epoch=3) for r in (0, 1)]
    assert [len(batches) for batches, _ in ranks] == [5, 5]
    for step, batch in enumerate(alone):
        assert sorted(batch.ids) == sorted(ranks[0][0][step].ids + ranks[1][0][step].ids)
    assert Counter(ranks[0][1] + ranks[1][1]) == Counter(unread)


def test_substitutes_differ_by_place_and_keep_balance() -> None:
    labels = [(0,)] * 90 + [(1,)] * 10
    settings = dict(batch=2, seed=0, shuffle=True, rank=0, world=1, drop_last=False)
    order = EpochOrder(labels, balanced=False, **settings)
    drawn = [order.instead(0, index, 1) for index in range(100)]
    assert drawn == [order.instead(0, index, 1) for index in range(100)]
    assert len(set(drawn)) > 50
    assert drawn != [order.instead(1, index, 1) for index in range(100)]
    assert drawn != [order.instead(0, index, 2) for index in range(100)]
    even = EpochOrder(labels, balanced=True, **settings)
    share = sum(even.instead(e, i, 1) >= 90 for e in range(10) for i in range(100)) / 1000
    assert 0.44 < share < 0.56


def test_a_video_in_anothers_place_is_cut_anew(damaged: Manifest) -> None:
    dataset = train_dataset(damaged, SPEC, Augment(crop="random_resized"), seed=5)
    assert not dataset[(0, 1, 2, 1)].clips.equal(dataset[(0, 1)].clips)


def test_testing_leaves_out_and_repeats_nothing(damaged: Manifest) -> None:
    dataset = eval_dataset(damaged, SPEC, EvalProtocol())
    for workers, batch in ((0, 4), (2, 1)):
        seen, found = [], []
        for rank in (0, 1):
            options = {"batch": batch, "rank": rank, "world": 2, "on_error": "skip"}
            batches, unread = run(build_loader(dataset, workers=workers, **options))
            seen += [name for made in batches for name in made.ids]
            found += [(one.id, one.instead) for one in unread]
        assert sorted(seen) == sorted(
            r.id for i, r in enumerate(damaged.records) if i not in (2, 6)
        )
        assert sorted(found) == [("clip2", ""), ("clip6", "")]


def test_the_default_is_to_raise(damaged: Manifest) -> None:
    with pytest.raises(VideoError, match="bad"):
        run(train_loader(damaged, on_error="raise"))


def test_nothing_readable_ends_at_once(damaged: Manifest) -> None:
    bad = replace(damaged, records=(damaged.records[2], damaged.records[6]))
    with pytest.raises(VideoError, match=f"cannot be opened: .*; nor can {DRAWS} videos drawn in"):
        run(train_loader(bad))


def test_asking_twice_tells_once(damaged: Manifest) -> None:
    loader = train_loader(damaged)
    assert len(list(loader.epoch(0))) == 5
    assert len(loader.take_unread()) == 2
    assert loader.take_unread() == []


@pytest.mark.parametrize(
    ("max_skipped", "videos", "limit"),
    [(0.01, 50, 3), (0.01, 300, 3), (0.01, 1000, 10), (0.5, 9, 4), (1, 1000, 1), (20, 5, 20)],
)
def test_the_cap_is_a_share_or_a_number(max_skipped: float, videos: int, limit: int) -> None:
    assert allowed(max_skipped, videos) == limit


@pytest.mark.parametrize("max_skipped", [0, -1, 2.5, float("nan"), float("inf")])
def test_caps_without_sense(max_skipped: float) -> None:
    with pytest.raises(ValueError, match="must be a share between 0 and 1 or a whole number"):
        allowed(max_skipped, 100)


def test_beyond_the_cap_the_error_says_what_to_do() -> None:
    causes = [f"/v/{i}.mp4: cut off" for i in range(4)]
    check_unread(causes[:3], 300, max_skipped=0.01, split="train")
    expected = (
        r"train: at least 4 of 300 videos cannot be read, max_skipped=0\.01 allows 3; the first "
        r"are: /v/0.mp4: cut off; /v/1.mp4: cut off; /v/2.mp4: cut off; `kinema data check` finds"
    )
    with pytest.raises(TooManyUnreadError, match=expected):
        check_unread(causes, 300, max_skipped=0.01, split="train")


class _Hangs(VideoDataset):
    """Reading the video of index 3 never ends, as in a decoder that waits for itself."""

    def __getitem__(self, key: object) -> Sample:
        time.sleep(60 if key[1] == 3 else 0)
        return super().__getitem__(key)


class _Dies(VideoDataset):
    """Reading the video of index 3 kills the process, as a fault inside a decoder does."""

    def __getitem__(self, key: object) -> Sample:
        if key[1] == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(key)


@pytest.mark.parametrize(
    ("kind", "error", "said"),
    [
        (_Hangs, TimeoutError, r"no batch came within timeout=1 s; the file being read is: {}$"),
        (_Dies, RuntimeError, r"a loader process died \(.*\); the file being read is: {}; if"),
    ],
)
def test_the_one_file_is_named(
    toy: Manifest, kind: type[VideoDataset], error: type[Exception], said: str
) -> None:
    plain = eval_dataset(toy, SPEC, EvalProtocol())
    dataset = kind(toy, SPEC, plain.sampler, plain.transform)
    loader = build_loader(dataset, batch=5, workers=2, timeout=1)
    with pytest.raises(error, match=said.format(toy.records[3].path)):
        run(loader)


def test_files_waited_for_are_named_where_none_is_being_read(toy: Manifest) -> None:
    loader = build_loader(eval_dataset(toy, SPEC, EvalProtocol()), batch=2, workers=1)
    assert loader._files([], [(0, 4), (0, 5)]).startswith("the files waited for are: ")
    assert loader._files([4], [(0, 4), (0, 5)]) == (
        f"the file being read is: {toy.records[4].path}"
    )


def test_a_pinned_batch_keeps_its_notes(damaged: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    from kinema.data.fetch import Fetched

    monkeypatch.setattr(Batch, "pin_memory", lambda self: "pinned")
    (batch, *_), unread = run(train_loader(damaged))
    assert Fetched(batch, unread).pin_memory() == Fetched("pinned", unread)
    assert Fetched(None, unread).pin_memory() == Fetched(None, unread)


def test_records_of_one_file_are_told_apart(damaged: Manifest) -> None:
    twice = Record("again", damaged.records[2].path, 0)
    manifest = replace(damaged, records=(*damaged.records[:3], twice))
    loader = build_loader(
        eval_dataset(manifest, SPEC, EvalProtocol()), batch=4, workers=0, on_error="skip"
    )
    assert [one.id for one in run(loader)[1]] == ["clip2", "again"]
