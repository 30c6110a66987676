"""Figures against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kinema.engine.metrics import (
    average_precision,
    bootstrap_interval,
    calibration,
    confusion,
    paired_interval,
    per_class,
    summarise,
    target_ranks,
    top_k,
)

# Six videos, three classes. Predictions: 0 0 1 1 2 0; targets: 0 0 0 1 2 2.
PROBS = np.array(
    [
        [0.7, 0.2, 0.1],
        [0.6, 0.3, 0.1],
        [0.3, 0.6, 0.1],
        [0.1, 0.8, 0.1],
        [0.0, 0.1, 0.9],
        [0.5, 0.1, 0.4],
    ]
)
TARGETS = np.array([0, 0, 0, 1, 2, 2])


def test_confusion_has_true_rows_and_predicted_columns() -> None:
    assert confusion(PROBS, TARGETS).tolist() == [[2, 1, 0], [0, 1, 0], [1, 0, 1]]


def test_per_class_by_hand() -> None:
    zero, one, two = per_class(PROBS, TARGETS)
    assert (zero.support, zero.predicted) == (3, 3)
    assert zero.recall == pytest.approx(2 / 3)
    assert zero.precision == pytest.approx(2 / 3)
    assert zero.f1 == pytest.approx(2 / 3)
    assert (one.recall, one.precision, one.f1) == pytest.approx((1.0, 1 / 2, 2 / 3))
    assert (two.recall, two.precision, two.f1) == pytest.approx((1 / 2, 1.0, 2 / 3))


def test_summary_by_hand() -> None:
    metrics = summarise(PROBS, TARGETS)
    assert metrics.clips == 6
    assert metrics.top1 == pytest.approx(4 / 6)
    assert metrics.mean_class == pytest.approx((2 / 3 + 1 + 1 / 2) / 3)
    true = [0.7, 0.6, 0.3, 0.8, 0.9, 0.4]
    assert metrics.loss == pytest.approx(-sum(map(math.log, true)) / 6)


def test_mean_class_leaves_out_classes_without_videos() -> None:
    probs = np.hstack([PROBS, np.zeros((6, 1))])
    assert math.isnan(per_class(probs, TARGETS)[3].recall)
    assert summarise(probs, TARGETS).mean_class == pytest.approx((2 / 3 + 1 + 1 / 2) / 3)


def test_top5_is_one_with_five_classes_or_fewer() -> None:
    assert summarise(PROBS, TARGETS).top5 == 1.0
    five = np.full((2, 5), 0.2)
    assert summarise(five, np.array([4, 0])).top5 == 1.0


def test_top5_with_seven_classes() -> None:
    row = np.array([0.3, 0.2, 0.15, 0.12, 0.1, 0.08, 0.05])
    probs = np.stack([row] * 7)
    metrics = summarise(probs, np.arange(7))
    assert metrics.top1 == pytest.approx(1 / 7)
    assert metrics.top5 == pytest.approx(5 / 7)
    assert top_k(probs, np.arange(7), 3) == pytest.approx(3 / 7)


def test_equal_probabilities_rank_by_index_as_argmax_does() -> None:
    probs = np.full((3, 3), 1 / 3)
    assert target_ranks(probs, np.eye(3, dtype=bool)).tolist() == [0, 1, 2]
    assert top_k(probs, np.array([0, 1, 2]), 1) == pytest.approx(1 / 3)


def test_calibration_by_hand() -> None:
    # Confidences 0.7 0.6 0.6 0.8 0.9 0.5, right: yes yes no yes yes no; five bins of 0.2,
    # each with its upper border: (0.4, 0.6] has 0.6 0.6 0.5, (0.6, 0.8] 0.7 0.8, (0.8, 1] 0.9.
    result = calibration(PROBS, TARGETS, bins=5)
    assert result.counts.tolist() == [0, 0, 3, 2, 1]
    assert result.accuracy[2:] == pytest.approx([1 / 3, 1, 1])
    assert result.confidence[2:] == pytest.approx([1.7 / 3, 0.75, 0.9])
    assert np.isnan(result.accuracy[:2]).all()
    assert result.ece == pytest.approx((abs(1.7 - 1) + abs(1.5 - 2) + abs(0.9 - 1)) / 6)


def test_certain_and_right_is_perfectly_calibrated() -> None:
    assert calibration(np.eye(3), np.arange(3)).ece == 0.0


def test_bootstrap_interval_agrees_with_the_normal_approximation() -> None:
    hits = np.arange(400) < 300
    low, high = bootstrap_interval(hits)
    half = 1.96 * math.sqrt(0.75 * 0.25 / 400)
    assert low == pytest.approx(0.75 - half, abs=0.006)
    assert high == pytest.approx(0.75 + half, abs=0.006)


def test_bootstrap_interval_equals_explicit_resampling() -> None:
    hits = np.arange(40) < 31
    rng = np.random.default_rng(1)
    means = hits[rng.integers(0, 40, size=(20_000, 40))].mean(axis=1)
    assert bootstrap_interval(hits, rounds=20_000) == pytest.approx(
        np.quantile(means, [0.025, 0.975]), abs=0.026
    )


def test_bootstrap_interval_depends_on_the_seed_alone() -> None:
    hits = np.arange(1000) < 777
    assert bootstrap_interval(hits, seed=3) == bootstrap_interval(hits, seed=3)


def test_videos_that_are_all_right_do_not_make_a_model_certain() -> None:
    low, high = bootstrap_interval(np.ones(9, bool))
    assert low**9 == pytest.approx(0.025)  # so rarely would 9 of 9 be right, were it true
    assert high == 1.0
    assert bootstrap_interval(np.zeros(9, bool)) == (0.0, pytest.approx(1 - low))


def test_paired_interval_equals_explicit_resampling_of_pairs() -> None:
    before, after = np.arange(60) < 45, (np.arange(60) % 3 == 0) | (np.arange(60) > 55)
    drawn = np.random.default_rng(1).integers(0, 60, size=(20_000, 60))
    losses = before[drawn].mean(axis=1) - after[drawn].mean(axis=1)
    assert paired_interval(before, after, rounds=20_000) == pytest.approx(
        np.quantile(losses, [0.025, 0.975]), abs=0.018
    )


def test_paired_interval_knows_what_both_have_in_common() -> None:
    """Two tests that differ in four of 400 videos differ by one point, surely."""
    before = np.arange(400) < 200
    low, high = paired_interval(before, before & (np.arange(400) >= 4))
    assert 0 < low < 0.01 < high < 0.025
    assert paired_interval(before, before) == (0.0, 0.0)
    assert paired_interval(before, ~before, seed=4) == paired_interval(before, ~before, seed=4)
    with pytest.raises(ValueError, match=r"\(400,\) and after of shape \(3,\) must be"):
        paired_interval(before, before[:3])
    with pytest.raises(ValueError, match="at least one video"):
        paired_interval(before[:0], before[:0])


# The six videos again, some with several labels: 0 and 1; 1; 0, 1 and 2; 1; 0 and 2; 2.
TRUTH = np.array([[1, 1, 0], [0, 1, 0], [1, 1, 1], [0, 1, 0], [1, 0, 1], [0, 0, 1]], bool)


def test_several_labels_by_hand() -> None:
    metrics = summarise(PROBS, TRUTH)
    assert metrics.top1 == pytest.approx(4 / 6)  # right: 0 of {0, 1}, 1 of all, 1, 2 of {0, 2}
    assert top_k(PROBS, TRUTH, 2) == 1.0
    # class 0: scores 0.7 0.6 0.5 0.3 0.1 0.0, right y n n y n y; the others: see below
    zero = (1 + 2 / 4 + 3 / 6) / 3
    # class 1: 0.8 y, 0.6 y, 0.3 y, 0.2 y, then two of 0.1 that are not
    # class 2: 0.9 y, 0.4 y, then four of 0.1 with one y, which share the precision 3/6
    two = (1 + 1 + 3 / 6) / 3
    assert [row.ap for row in per_class(PROBS, TRUTH)] == pytest.approx([zero, 1.0, two])
    assert metrics.mean_ap == pytest.approx((zero + 1 + two) / 3)
    nats = [
        -math.log(0.7 * 0.2) / 2, -math.log(0.3), -math.log(0.3 * 0.6 * 0.1) / 3, -math.log(0.8),
        (-math.log(np.finfo(np.float64).tiny) - math.log(0.9)) / 2, -math.log(0.4),
    ]  # fmt: skip
    assert metrics.loss == pytest.approx(np.mean(nats))
    assert [row.recall for row in per_class(PROBS, TRUTH)] == pytest.approx([1 / 3, 2 / 4, 1 / 3])
    assert confusion(PROBS, TRUTH).tolist() == [[1, 0, 0], [1, 2, 0], [1, 0, 1]]


def test_one_label_is_the_case_of_one_true_entry() -> None:
    assert summarise(PROBS, TARGETS) == summarise(PROBS, np.eye(3, dtype=bool)[TARGETS])


def test_average_precision_depends_on_no_order() -> None:
    scores, right = np.array([0.5, 0.5, 0.9, 0.5, 0.1]), np.array([1, 0, 0, 1, 0], bool)
    expected = 2 / 4  # both are within the four that stand before or beside them
    for order in (slice(None), slice(None, None, -1)):
        assert average_precision(scores[order], right[order]) == pytest.approx(expected)
    assert math.isnan(average_precision(scores, np.zeros(5, bool)))


def test_sigmoid_probabilities_need_not_sum_to_one() -> None:
    probs = np.array([[0.9, 0.8, 0.1], [0.2, 0.6, 0.3]])
    truth = np.array([[1, 1, 0], [0, 0, 1]], bool)
    with pytest.raises(ValueError, match="apply softmax first"):
        summarise(probs, truth)
    metrics = summarise(probs, truth, activation="sigmoid")
    wanted = np.where(truth, probs, 1 - probs)
    assert metrics.loss == pytest.approx(-np.log(wanted).mean())
    assert metrics.top1 == 0.5
    with pytest.raises(ValueError, match="row 0 of probs .* apply sigmoid first"):
        summarise(2 * probs, truth, activation="sigmoid")


@pytest.mark.parametrize(
    ("probs", "targets", "message"),
    [
        (PROBS, [0, 0, 0, 1, 2, -1], r"1 of 6 targets name no label .*row 5\); score labelled"),
        (PROBS, [0, 0, 0, 1, 2, 3], r"no label of 0\.\.2"),
        (PROBS, [0, 0, 0], "must be"),
        (PROBS[:0], [], "at least 1"),
        (PROBS * 3, TARGETS, "apply softmax"),
        (np.where(PROBS == 0.9, np.nan, PROBS), TARGETS, "row 4 of probs"),
    ],
)
def test_refuses(probs: np.ndarray, targets: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        summarise(probs, np.array(targets))
