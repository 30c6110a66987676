"""Batches depend on the seed and the epoch, and on nothing else."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from kinema.data import (
    ArrayReader,
    Augment,
    Manifest,
    VideoDataset,
    VideoError,
    build_loader,
    eval_dataset,
    eval_transform,
    make_sampler,
    read_views,
    train_dataset,
)
from kinema.data.order import EpochOrder
from kinema.types import Batch, EvalProtocol, InputSpec, Record, Sample

from .conftest import numbered_frames, numbers_of, write_pictures

SPEC = InputSpec(frames=4, resize=48, crop=48)
PLAIN = Augment(crop="center", flip=False)


def same(a: list[Batch], b: list[Batch]) -> bool:
    return len(a) == len(b) and all(
        x.ids == y.ids
        and torch.equal(x.clips, y.clips)
        and torch.equal(x.targets, y.targets)
        and torch.equal(x.spans, y.spans)
        for x, y in zip(a, b, strict=True)
    )


def batches(dataset: VideoDataset, epoch: int = 0, skip: int = 0, **options: object) -> list[Batch]:
    settings = {"batch": 3, "workers": 0, "shuffle": True, **options}
    loader = build_loader(dataset, **settings)
    try:
        return list(loader.epoch(epoch, skip))
    finally:
        loader.close()


def test_a_sample_is_the_frames_of_its_sampler(toy: Manifest) -> None:
    dataset = eval_dataset(toy, replace(SPEC, crop=40), EvalProtocol(views=2))
    sample = dataset[3]
    assert isinstance(sample, Sample)
    assert sample.clips.shape == (2, 3, 4, 40, 40)
    assert sample.clips.dtype == torch.uint8
    assert sample.target == 1
    wide = eval_dataset(toy, InputSpec(frames=4, resize=48, crop=48), EvalProtocol(crop="three"))
    left, right, _ = wide[3].clips
    starts = [60 + i for i in (2, 6, 10, 14)]
    low = [_bits(clip, range(6)) for clip in left.transpose(0, 1)]
    high = [_bits(clip, range(2, 8)) for clip in right.transpose(0, 1)]
    assert low == [n & 0b111111 for n in starts]
    assert high == [n >> 2 for n in starts]


def _bits(frame: torch.Tensor, bits: range) -> int:
    """The number that six of the eight bars of a frame (3, 48, 48) give."""
    bars = frame.float().mean(0).unflatten(1, (6, 8))[:, :, 2:6].mean(dim=(0, 2))
    return sum(int(bar > 128) << i for i, bar in enumerate(bars))


def test_spans_are_seconds_of_the_video(toy: Manifest) -> None:
    dataset = eval_dataset(toy, SPEC, EvalProtocol(views=2, crop="three"))
    spans = dataset[0].spans
    assert spans.shape == (6, 2)
    middles, edges = [2 / 25, 15 / 25], [0, 13 / 25]
    assert spans.numpy() == pytest.approx(np.array([middles] * 3 + [edges] * 3))
    late = Manifest("m", toy.labels, (replace(toy.records[0], start=0.2),))
    assert eval_dataset(late, SPEC, EvalProtocol())[0].spans[0, 0] == pytest.approx(0.2 + 1 / 25)


def test_arrays_go_the_same_way_as_files() -> None:
    sampler, transform = make_sampler(SPEC), eval_transform(SPEC, EvalProtocol())
    reader = ArrayReader(numbered_frames(16), 25.0, transform.short_side)
    clips, spans = read_views(reader, SPEC, sampler, transform, np.random.default_rng(0))
    assert clips.shape == (1, 3, 4, 48, 48)
    assert clips.is_contiguous()
    assert spans.numpy() == pytest.approx(np.array([[2 / 25, 15 / 25]]))


@pytest.mark.parametrize("augment", [Augment(brightness=0.4), Augment(mixup=0.3, cutmix=1.0)])
def test_workers_do_not_change_batches(toy: Manifest, augment: Augment) -> None:
    dataset = train_dataset(toy, SPEC, augment, seed=5)
    one = [batches(dataset, epoch, augment=augment, seed=5) for epoch in (0, 1)]
    loader = build_loader(dataset, batch=3, workers=2, shuffle=True, augment=augment, seed=5)
    two = [list(loader.epoch(epoch)) for epoch in (0, 1)]
    list(islice(loader.epoch(2), 1))  # left in the middle
    assert same(list(loader.epoch(1)), two[1])
    assert same(list(loader.epoch(1, skip=2)), two[1][2:])
    loader.close()
    assert all(map(same, one, two))
    assert not same(one[0], one[1])


def test_another_seed_gives_other_batches(toy: Manifest) -> None:
    a, b = (batches(train_dataset(toy, SPEC, PLAIN, seed=s), seed=s) for s in (0, 1))
    assert [x.ids for x in a] != [x.ids for x in b]
    c = batches(train_dataset(toy, SPEC, PLAIN, seed=1), seed=0)
    assert [x.ids for x in a] == [x.ids for x in c]
    assert not same(a, c)


def test_skip_is_the_tail_and_reads_nothing(toy: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = train_dataset(toy, SPEC, Augment(), seed=0)
    whole = batches(dataset, 3)
    seen: list[object] = []
    real = VideoDataset.__getitem__
    monkeypatch.setattr(
        VideoDataset, "__getitem__", lambda self, key: (seen.append(key), real(self, key))[1]
    )
    assert same(batches(dataset, 3, skip=3), whole[3:])
    assert len(seen) == 1
    assert batches(dataset, 3, skip=4) == []


def test_epochs_do_not_touch_the_global_generator(toy: Manifest) -> None:
    state = torch.get_rng_state()
    batches(train_dataset(toy, SPEC, Augment(), seed=0))
    assert torch.equal(torch.get_rng_state(), state)


def test_keys_of_samples(toy: Manifest) -> None:
    dataset = train_dataset(toy, SPEC, Augment(crop="random_resized"), seed=0)
    assert torch.equal(dataset[2].clips, dataset[(0, 2)].clips)
    assert not torch.equal(dataset[2].clips, dataset[(1, 2)].clips)
    assert len(dataset) == 10


def order(count: int, **options: object) -> EpochOrder:
    settings = dict(batch=2, seed=0, shuffle=True, balanced=False, rank=0, world=1, drop_last=False)
    labels = options.pop("labels", [(0,)] * count)
    return EpochOrder(labels, **{**settings, **options})


@pytest.mark.parametrize("count", [7, 8, 9])
@pytest.mark.parametrize("drop_last", [True, False])
def test_ranks_share_an_epoch_with_equal_steps(count: int, drop_last: bool) -> None:
    ranks = [order(count, rank=r, world=2, drop_last=drop_last) for r in (0, 1)]
    alone = order(count, batch=4, drop_last=drop_last)
    items = [rank(4) for rank in ranks]
    assert len(items[0]) == len(items[1]) == ranks[0].items
    both = np.concatenate(items)
    assert set(both) <= set(range(count))
    # what two processes see in a step is what one sees with the doubled batch
    for step in range(count // 4):
        pair = np.concatenate([x[2 * step : 2 * step + 2] for x in items])
        assert set(pair) == set(alone(4)[4 * step : 4 * step + 4])
    if not drop_last:
        assert set(both) == set(range(count))


def test_testing_looks_at_every_item_once(toy: Manifest) -> None:
    seen = []
    for rank in range(3):
        dataset = eval_dataset(toy, SPEC, EvalProtocol())
        got = batches(dataset, shuffle=False, rank=rank, world=3)
        assert [len(b.ids) for b in got] == ([3, 1] if rank == 0 else [3])
        seen += [name for batch in got for name in batch.ids]
    assert sorted(seen) == sorted(record.id for record in toy.records)


def test_steps_per_epoch(toy: Manifest) -> None:
    dataset = train_dataset(toy, SPEC, PLAIN, seed=0)
    for options, steps in (
        ({"shuffle": True, "drop_last": True}, 3),
        ({"shuffle": True}, 4),
        ({}, 4),
        ({"shuffle": True, "rank": 1, "world": 2}, 2),
        ({"rank": 1, "world": 4}, 1),
    ):
        assert build_loader(dataset, batch=3, workers=0, **options).steps_per_epoch == steps
        assert len(batches(dataset, **{"shuffle": False, **options})) == steps


def test_balanced_draws_classes_equally_on_every_rank() -> None:
    labels = [(0,)] * 90 + [(1,)] * 10
    for rank in (0, 1):
        sampler = order(100, labels=labels, balanced=True, rank=rank, world=2)
        drawn = np.concatenate([np.asarray(labels)[sampler(epoch), 0] for epoch in range(40)])
        assert len(drawn) == 2000
        assert 0.46 < drawn.mean() < 0.54


def test_balancing_draws_a_clip_for_each_of_its_labels() -> None:
    labels = [(0,)] * 60 + [(0, 1)] * 20 + [(1, 2)] * 20  # classes have 80, 40 and 20 clips
    sampler = order(100, labels=labels, balanced=True)
    drawn = np.concatenate([sampler(epoch) for epoch in range(100)])
    found = [np.mean(drawn < 60), np.mean((drawn >= 60) & (drawn < 80)), np.mean(drawn >= 80)]
    assert found == pytest.approx([60 / 240, 20 / 240 + 20 / 120, 20 / 120 + 20 / 60], abs=0.02)


def test_several_labels_make_rows_of_targets(toy: Manifest) -> None:
    both, none = replace(toy.records[0], labels=(0, 1)), replace(toy.records[1], labels=())
    several = replace(toy, records=(both, none, *toy.records[2:4]))
    (batch,) = batches(eval_dataset(several, SPEC, EvalProtocol()), shuffle=False, batch=4)
    assert batch.targets.dtype == torch.float32
    assert batch.targets.tolist() == [[1, 1], [0, 0], [1, 0], [0, 1]]
    labelled = replace(several, records=(both, *toy.records[1:4]))
    dataset = train_dataset(labelled, SPEC, PLAIN, seed=0)
    (mixed,) = batches(dataset, batch=4, shuffle=True, augment=Augment(mixup=1.0))
    assert mixed.targets.sum() == pytest.approx(5.0), "labels are moved, none is lost"
    sided = replace(labelled, flip_map={0: None})
    seen = [train_dataset(sided, SPEC, Augment(), seed=0)[(epoch, 0)] for epoch in range(8)]
    assert {tuple(sample.target.tolist()) for sample in seen} == {(1.0, 1.0)}
    with pytest.raises(ValueError, match="mixup and cutmix needs labels, but record 'clip1'"):
        build_loader(
            train_dataset(several, SPEC, PLAIN, seed=0),
            batch=2, workers=0, shuffle=True, augment=Augment(mixup=1.0),
        )  # fmt: skip


def test_mirroring_changes_the_label_it_should() -> None:
    labels = ("go left", "go right", "turn left", "jump")
    frames = numbered_frames(8)
    pixels = {True: numbers_of(torch.from_numpy(frames[:, :, ::-1].copy()).permute(0, 3, 1, 2))}
    pixels[False] = numbers_of(torch.from_numpy(frames).permute(0, 3, 1, 2))
    spec = InputSpec(frames=8, resize=48, crop=48)
    assert pixels[True] != pixels[False]
    flip_map = {0: 1, 1: 0, 2: None}
    for label, mirrored in {0: 1, 1: 0, 2: None, 3: 3}.items():
        seen = _targets(labels, label, flip_map, spec)
        expected = {(False, label)} | (set() if mirrored is None else {(True, mirrored)})
        assert seen == expected
    assert _targets(labels, 0, None, spec) == {(False, 0), (True, 0)}


def _targets(
    labels: tuple[str, ...], label: int, flip_map: dict | None, spec: InputSpec
) -> set[tuple[bool, int]]:
    """Which (mirrored, target) a data set gives for a clip that is white on its left half."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        frames = np.full((8, 48, 48, 3), 20, dtype=np.uint8)
        frames[:, :, :24] = 230
        path = write_pictures(Path(folder) / "clip", frames)
        manifest = Manifest("m", labels, (Record("a", path, label),), flip_map)
        dataset = train_dataset(manifest, spec, Augment(crop="center"), seed=0)
        samples = [dataset[(epoch, 0)] for epoch in range(12)]
    return {(bool(s.clips[0, 0, 0, 0, 40] > 128), int(s.target)) for s in samples}


def test_mixing_keeps_pixels_and_targets_in_step() -> None:
    clips = torch.stack([torch.zeros(1, 3, 2, 32, 32), torch.full((1, 3, 2, 32, 32), 200.0)])
    batch = Batch(clips.byte(), torch.tensor([0, 1]), ["a", "b"], torch.zeros(2, 1, 2))
    from kinema.data.mixing import Mixing

    for mixing in (Mixing(3, 1.0, 0.0), Mixing(3, 0.0, 1.0)):
        shares = set()
        for seed in range(20):
            mixed = mixing(batch, np.random.default_rng(seed))
            assert mixed.clips.dtype == torch.uint8
            assert mixed.targets.shape == (2, 3)
            assert torch.allclose(mixed.targets.sum(1), torch.ones(2))
            bright = mixed.clips.float().mean(dim=(1, 2, 3, 4, 5)) / 200
            assert torch.allclose(bright, mixed.targets[:, 1], atol=0.004)
            shares.add(round(float(mixed.targets[0, 0]), 3))
        assert len(shares) > 8
    assert torch.equal(batch.clips[1], clips[1].byte()), "the batch itself stays"


@pytest.mark.parametrize("workers", [0, 1])
def test_broken_videos_raise_their_own_error(toy: Manifest, tmp_path: Path, workers: int) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video at all")
    manifest = replace(toy, records=(*toy.records[:4], Record("bad", bad, 0)))
    dataset = eval_dataset(manifest, SPEC, EvalProtocol())
    loader = build_loader(dataset, batch=2, workers=workers)
    with pytest.raises(VideoError, match="bad.mp4: cannot be opened") as caught:
        list(loader.epoch(0))
    assert caught.value.path == str(bad)
    loader.close()


def test_nothing_is_open_before_workers_start(toy: Manifest) -> None:
    loader = build_loader(eval_dataset(toy, SPEC, EvalProtocol()), batch=2, workers=2)
    assert loader._loader is None
    next(loader.epoch(0))
    loader.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 0}, "batch=0 must be at least 1"),
        ({"workers": -1}, "workers=-1 must be 0 or more"),
        ({"rank": 2, "world": 2}, r"rank=2 must be in 0..1 \(world=2\)"),
        ({"balanced": True}, "balanced=True needs shuffle=True"),
        (
            {"shuffle": True, "drop_last": True, "batch": 8, "world": 2},
            "batch=8 on 2 processes needs at least 16 clips, there are 10; lower the batch",
        ),
    ],
)
def test_loader_errors(toy: Manifest, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_loader(
            eval_dataset(toy, SPEC, EvalProtocol()), **{"batch": 2, "workers": 0, **options}
        )


def test_unlabelled_records_cannot_be_mixed_or_balanced(toy: Manifest) -> None:
    manifest = replace(toy, records=(*toy.records, replace(toy.records[0], id="x", labels=())))
    dataset = eval_dataset(manifest, SPEC, EvalProtocol())
    assert dataset[10].target == -1
    with pytest.raises(ValueError, match="mixup and cutmix needs labels, but record 'x' has none"):
        build_loader(dataset, batch=2, workers=0, shuffle=True, augment=Augment(mixup=1.0))
    with pytest.raises(ValueError, match="balanced=True needs labels"):
        build_loader(dataset, batch=2, workers=0, shuffle=True, balanced=True)


def test_flow_and_differences_become_channels(tmp_path: Path, toy: Manifest) -> None:
    for plane in "xy":
        write_pictures(tmp_path / "clip", numbered_frames(12), f"{plane}_{{:05d}}.jpg")
    manifest = Manifest("m", ("a", "b"), (Record("a", tmp_path / "clip", 0),))
    one = {"mean": (0.5,), "std": (0.226,)}
    flow = InputSpec(modality="flow", stack=5, frames=2, resize=48, crop=48, **one)
    clips = train_dataset(manifest, flow, Augment(), seed=0)[0].clips
    assert clips.shape == (1, 10, 2, 48, 48)
    assert flow.to_input(clips).shape == (1, 10, 2, 48, 48)
    diff = InputSpec(modality="rgb_diff", stack=2, frames=3, resize=48, crop=48, **one)
    assert eval_dataset(toy, diff, EvalProtocol())[0].clips.shape == (1, 6, 3, 48, 48)
