"""Index arithmetic against hand-written lists and against the published code's own output."""

import csv
from pathlib import Path

import numpy as np
import pytest

from kinema.data.sampling import (
    DenseSampler,
    Sampler,
    SegmentSampler,
    expand_stack,
    frames_per_step,
    make_sampler,
)
from kinema.types import InputSpec

RNG = np.random.default_rng(0)


class LegacyDraws:
    """The generator the published code draws from, behind the words ours are asked with."""

    def __init__(self, seed: int) -> None:
        self._state = np.random.RandomState(seed)

    def integers(self, low: int, high: int | None = None, size: int | None = None) -> np.ndarray:
        return self._state.randint(low, high, size)


def lists(sampler: Sampler, num_frames: int, rng: object = RNG) -> list[list[int]]:
    return sampler(num_frames, rng).tolist()  # type: ignore[arg-type]


def flow(stack: int, **fields: object) -> InputSpec:
    return InputSpec(modality="flow", stack=stack, mean=(0.5,), std=(0.226,), **fields)


def _golden_sampler(row: dict[str, str]) -> Sampler:
    k, training = int(row["num_segments"]), row["phase"] == "train"
    if row["mode"] == "dense":
        views = 10 if row["phase"] == "test" else 1
        return DenseSampler(k, 64 // k, views=views, jitter=row["phase"] != "test")
    # the authors' test differs from their validation: it has no rule for short videos
    rule = "tsm" if row["impl"] == "tsm" and row["phase"] != "test" else "mmaction2"
    views = 2 if row["mode"] == "twice" else 1
    return SegmentSampler(k, views=views, jitter=training, rule=rule, stack=int(row["new_length"]))


def test_every_row_of_the_published_code(repository: Path) -> None:
    """Drawn with mit-han-lab/temporal-shift-module and open-mmlab/mmaction2, seeded per row."""
    with (repository / "tests" / "golden" / "sampling.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1314
    wrong = []
    for row in rows:
        got = _golden_sampler(row)(int(row["num_frames"]), LegacyDraws(int(row["seed"])))
        expected = np.asarray(row["idx"].split(), dtype=np.int64) - int(row["base"])
        if not np.array_equal(got.ravel(), expected):
            wrong.append((row, got.tolist()))
    assert not wrong


@pytest.mark.parametrize(
    ("num_frames", "expected"),
    [
        (10, [1, 3, 6, 8]),
        (8, [1, 3, 5, 7]),
        (4, [0, 1, 2, 3]),
        (3, [0, 1, 1, 2]),
        (1, [0, 0, 0, 0]),
    ],
)
def test_one_view_takes_the_middles(num_frames: int, expected: list[int]) -> None:
    assert lists(SegmentSampler(4), num_frames) == [expected]


def test_two_views_are_the_middles_and_the_left_edges() -> None:
    assert lists(SegmentSampler(4, views=2), 10) == [[1, 3, 6, 8], [0, 2, 5, 7]]
    assert lists(SegmentSampler(4, views=2, rule="tsm"), 3) == [[0, 1, 1, 2], [0, 0, 1, 2]]


def test_more_views_are_spread_over_the_part() -> None:
    assert lists(SegmentSampler(2, views=3), 12) == [[0, 6], [2, 8], [5, 11]]
    assert lists(SegmentSampler(2, views=4), 2) == [[0, 1]] * 4


def test_tsm_repeats_the_first_frame_of_short_videos() -> None:
    assert lists(SegmentSampler(4, rule="tsm"), 4) == [[0, 0, 0, 0]]
    assert lists(SegmentSampler(4, rule="tsm"), 5) == [[0, 1, 3, 4]]
    assert lists(SegmentSampler(4, rule="tsm", jitter=True), 3) == [[0, 0, 0, 0]]


def test_mmaction2_spreads_short_videos_in_training() -> None:
    assert lists(SegmentSampler(4, jitter=True), 3) == [[0, 1, 2, 2]]


def test_shared_offset_keeps_frames_equally_far_apart() -> None:
    sampler = SegmentSampler(4, rule="shared", jitter=True)
    offsets = set()
    for _ in range(100):
        (indices,) = lists(sampler, 20)
        assert np.diff(indices).tolist() == [5, 5, 5]
        offsets.add(indices[0])
    assert offsets == {0, 1, 2, 3, 4}
    (short,) = lists(sampler, 3)
    assert short == sorted(short)
    assert set(short) <= {0, 1, 2}


def test_shared_views_shift_the_middle_by_whole_frames() -> None:
    assert lists(SegmentSampler(2, rule="shared"), 20) == [[5, 15]]
    three = SegmentSampler(2, rule="shared", views=3)
    assert lists(three, 20) == [[4, 14], [5, 15], [6, 16]]
    assert lists(three, 2) == [[0, 1], [0, 1], [1, 1]]  # never more than half a part


def test_training_draws_one_frame_in_each_part() -> None:
    sampler = SegmentSampler(4, jitter=True)
    draws = np.concatenate([sampler(41, RNG) for _ in range(400)])
    assert draws.min(axis=0).tolist() == [0, 10, 20, 30]
    assert draws.max(axis=0).tolist() == [9, 19, 29, 39]


@pytest.mark.parametrize(
    ("num_frames", "views", "expected"),
    [
        (20, 1, [[7, 9, 11]]),
        (20, 2, [[0, 2, 4], [14, 16, 18]]),
        (6, 1, [[0, 2, 4]]),
        (4, 1, [[0, 2, 0]]),
        (3, 3, [[0, 2, 1]] * 3),
    ],
)
def test_dense_windows(num_frames: int, views: int, expected: list[list[int]]) -> None:
    assert lists(DenseSampler(3, 2, views=views), num_frames) == expected


def test_dense_training_never_draws_the_last_start() -> None:
    sampler = DenseSampler(3, 2, jitter=True)
    starts = {lists(sampler, 10)[0][0] for _ in range(300)}
    assert starts == {0, 1, 2, 3}


@pytest.mark.parametrize("sampling", ["segments", "segments_tsm", "shared", "dense"])
@pytest.mark.parametrize("stack", [1, 5])
def test_indices_are_always_valid(sampling: str, stack: int) -> None:
    spec = flow(stack, frames=8, sampling=sampling, stride=3)
    for num_frames in (1, 2, 5, 7, 8, 9, 12, 13, 40, 301):
        for views in (1, 2, 3, 10):
            indices = make_sampler(spec, views=views)(num_frames, RNG)
            assert indices.shape == (views, 8)
            assert indices.min() >= 0
            assert indices.max() < num_frames
        indices = make_sampler(spec, jitter=True)(num_frames, RNG)
        assert indices.shape == (1, 8)
        assert indices.min() >= 0
        assert indices.max() < num_frames


def test_test_time_needs_no_draws() -> None:
    for sampling in ("segments", "segments_tsm", "shared", "dense"):
        sampler = make_sampler(InputSpec(frames=4, sampling=sampling), views=3)
        for num_frames in (2, 100):
            assert lists(sampler, num_frames, None) == lists(sampler, num_frames, None)


def test_stacks_repeat_the_last_frame() -> None:
    anchors = np.array([[0, 7]])
    assert expand_stack(anchors, 3, 9).tolist() == [[[0, 1, 2], [7, 8, 8]]]


def test_differences_read_one_frame_more() -> None:
    assert frames_per_step(InputSpec(modality="rgb_diff", stack=5)) == 6
    assert frames_per_step(flow(5)) == 5
    assert frames_per_step(InputSpec()) == 1


def test_errors_name_value_and_rule() -> None:
    with pytest.raises(ValueError, match="views=2 needs jitter=False"):
        SegmentSampler(8, views=2, jitter=True)
    with pytest.raises(ValueError, match="stride=0 must be at least 1"):
        DenseSampler(8, 0)
    with pytest.raises(ValueError, match="num_frames=0 must be at least 1"):
        SegmentSampler(8)(0, RNG)
