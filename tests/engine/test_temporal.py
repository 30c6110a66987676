"""Temporal sensitivity: orders of frames, motion turned round, and what the scores say."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from kinema import checkpoint
from kinema.cli import main
from kinema.data import Manifest, loader
from kinema.data.transforms import stack_channels
from kinema.engine.evaluate import evaluate
from kinema.engine.metrics import summarise
from kinema.engine.report import write_report
from kinema.engine.scores import read_scores
from kinema.engine.temporal import (
    ORDERS,
    draw_order,
    reorder,
    score_files,
    summarise_orders,
    temporal_sensitivity,
)
from kinema.models import VideoModel, create_model
from kinema.types import InputSpec, ModelSpec, Record

from .conftest import write_video

INPUT = InputSpec(frames=4, resize=32, crop=24)


class Pixels(nn.Module):
    """A backbone that hands the clip on."""

    tap_channels = {"pixels": 3}
    recompute = False

    def forward(self, clip, taps):
        return clip


class Slope(nn.Module):
    """Scores whether the last frame is lighter than the first: (N, 2) logits."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, x):
        level = x.mean((1, 3, 4))  # (N, T)
        slope = self.gain * (level[:, -1:] - level[:, :1])
        return torch.cat([slope, -slope], dim=1), level


@pytest.fixture(scope="module")
def ramps(tmp_path_factory):
    """Twelve videos that grow lighter (`up`) and twelve that grow darker (`down`)."""
    root = tmp_path_factory.mktemp("ramps")
    records = []
    for i in range(24):
        levels = np.linspace(60, 180, 9)[:: 1 if i % 2 == 0 else -1] + i
        frames = np.broadcast_to(levels[:, None, None, None], (9, 32, 40, 3)).astype(np.uint8)
        write_video(root / f"{i}.mp4", frames)
        records.append(Record(str(i), root / f"{i}.mp4", i % 2))
    return Manifest("ramps", ("up", "down"), tuple(records))


@pytest.fixture
def slope():
    model = VideoModel(Pixels(), Slope())
    model.spec = ModelSpec(name="slope", input=INPUT, labels=("up", "down"))
    return model


def clip(frames):
    """(C, T, H, W) of random bytes."""
    return torch.randint(0, 256, (3, frames, 5, 6), dtype=torch.uint8)


def test_orders_of_pictures():
    x = clip(4)
    assert reorder(x, "normal") is x
    assert torch.equal(reorder(x, "reversed"), x[:, [3, 2, 1, 0]])
    assert torch.equal(reorder(x, "frozen"), x[:, [2, 2, 2, 2]])
    assert torch.equal(reorder(x, "shuffled", shuffle=[2, 0, 3, 1]), x[:, [2, 0, 3, 1]])
    views = torch.stack([x, clip(4)])
    assert torch.equal(reorder(views, "reversed")[1], reorder(views[1], "reversed"))


def test_a_shuffle_is_an_order_of_all_frames():
    for wrong in ((), (0, 1, 2), (0, 1, 1, 2)):
        with pytest.raises(ValueError, match=r"must be an order of 0\.\.3"):
            reorder(clip(4), "shuffled", shuffle=wrong)


def stacked(source, anchors, length, modality):
    """(C, T, H, W): the `length` pictures of `source` from each anchor on, as channels."""
    frames = source[[a + k for a in anchors for k in range(length)]]
    steps = stack_channels(frames, (1, len(anchors), length), modality)
    return steps[0].transpose(0, 1)


def test_reversed_flow_is_the_flow_of_the_reversed_video():
    """Uniform fields, one from each of 12 frames to the next, in stacks of three."""
    field = torch.randint(0, 256, (11, 2, 1, 1), dtype=torch.uint8).expand(-1, -1, 4, 4)
    backwards = 255 - field.flip(0)  # entry j leads from frame 11 - j to frame 10 - j
    forwards_clip = stacked(field, [0, 3, 8], 3, "flow")
    backwards_clip = stacked(backwards, [0, 5, 8], 3, "flow")  # 11 - 3 - anchor
    assert torch.equal(reorder(forwards_clip, "reversed", "flow"), backwards_clip)
    assert not torch.equal(forwards_clip.flip(1), backwards_clip)


def test_reversed_differences_are_those_of_the_reversed_video_up_to_rounding():
    frames = torch.randint(0, 256, (12, 3, 4, 4), dtype=torch.uint8)
    frames[0], frames[1] = 0, 255  # the largest difference there is
    forwards = stacked(frames, [0, 4, 8], 4, "rgb_diff")
    backwards = stacked(frames.flip(0), [0, 4, 8], 4, "rgb_diff")
    off = reorder(forwards, "reversed", "rgb_diff").int() - backwards.int()
    assert set(off.unique().tolist()) == {0, 1}
    even = frames // 2 * 2
    forwards = stacked(even, [0, 4, 8], 4, "rgb_diff")
    backwards = stacked(even.flip(0), [0, 4, 8], 4, "rgb_diff")
    assert torch.equal(reorder(forwards, "reversed", "rgb_diff"), backwards)


def test_frozen_motion_is_none():
    still = torch.full((12, 3, 4, 4), 77, dtype=torch.uint8)
    differences = stacked(still, [0, 4], 3, "rgb_diff")
    moving = torch.randint(0, 256, differences.shape, dtype=torch.uint8)
    assert torch.equal(reorder(moving, "frozen", "rgb_diff"), differences)
    assert reorder(moving[:4], "frozen", "flow").unique().tolist() == [128]


def test_shuffles_depend_on_seed_and_video_and_are_never_the_normal_order():
    assert draw_order("a/b.mp4", 8, 0) == draw_order("a/b.mp4", 8, 0)
    drawn = {tuple(draw_order(f"video {i}", 8, seed)) for i in range(20) for seed in range(2)}
    assert len(drawn) > 35
    for i in range(50):
        assert draw_order(f"video {i}", 2, 0) == [1, 0]
        assert draw_order(f"video {i}", 3, 0) != [0, 1, 2]
    assert draw_order("video", 1, 0) == [0]
    assert draw_order("video", 4, 0) == [1, 0, 2, 3]


def test_a_model_that_averages_frames_does_not_notice_their_order(splits):
    model = create_model("tsn_resnet18", labels=splits.val.labels, width=8, input=INPUT)
    with torch.no_grad():
        model.head.fc.weight.normal_(std=0.3)
    found = temporal_sensitivity(model, splits.val, protocol="2x3", workers=0)
    normal = found["normal"]
    for order in ("reversed", "shuffled"):
        torch.testing.assert_close(found[order].logits, normal.logits, rtol=1e-4, atol=1e-5)
        assert found[order].metrics.top1 == normal.metrics.top1
    assert not torch.allclose(found["frozen"].logits, normal.logits, rtol=1e-3)


def test_a_shift_notices(splits):
    model = create_model("tsm_resnet18", labels=splits.val.labels, width=8, input=INPUT)
    with torch.no_grad():
        model.head.fc.weight.normal_(std=0.3)
    found = temporal_sensitivity(model, splits.val, workers=0)
    again = temporal_sensitivity(model, splits.val, workers=2, batch=2)
    other = temporal_sensitivity(model, splits.val, workers=0, seed=1)
    for order in ORDERS[1:]:
        assert not torch.allclose(found[order].logits, found["normal"].logits, rtol=1e-3)
        torch.testing.assert_close(found[order].logits, again[order].logits, rtol=1e-4, atol=1e-5)
        same = torch.equal(found[order].logits, other[order].logits)
        assert same == (order != "shuffled")
    assert torch.equal(found["normal"].logits, evaluate(model, splits.val, workers=0).logits)


def test_a_model_of_direction_takes_reversed_clips_for_the_partner(slope, ramps):
    found = temporal_sensitivity(slope, ramps, workers=0)
    assert [found[order].metrics.top1 for order in ORDERS[:2]] == [1.0, 0.0]
    assert found["frozen"].metrics.top1 == 0.5
    assert found["frozen"].logits.abs().max() == 0
    probs = {order: result.probs for order, result in found.items()}
    use = summarise_orders(probs, found["normal"].targets, ramps.labels)
    assert (use.partnered, use.taken, use.taken_normal) == (24, 1.0, 0.0)
    assert [row.verdict for row in use.classes] == ["order", "order"]
    assert use.orders[1].drop_interval == (1.0, 1.0)
    low, high = use.orders[3].drop_interval
    assert low < 0.5 < high


def test_every_video_is_decoded_once(slope, ramps, monkeypatch):
    opened, open_reader = [], loader.open_reader

    def counted(record, *arguments, **options):
        opened.append(record.id)
        return open_reader(record, *arguments, **options)

    monkeypatch.setattr(loader, "open_reader", counted)
    temporal_sensitivity(slope, ramps, workers=0)
    assert sorted(opened) == sorted(record.id for record in ramps.records)


def scored(hits):
    """(n, 3) probabilities of two videos' classes: right where the hit is 1; targets are 0."""
    probs = np.full((len(hits), 3), 0.1)
    probs[np.arange(len(hits)), np.where(hits, 0, 2)] = 0.8
    return probs


def test_a_model_of_one_answer_recognises_nothing():
    targets = np.repeat([0, 1], 20)
    probs = dict.fromkeys(ORDERS, np.tile([0.8, 0.1, 0.1], (40, 1)))
    verdicts = {row.label: row.verdict for row in summarise_orders(probs, targets, "abc").classes}
    assert verdicts == {"a": "not recognised", "b": "not recognised"}


@pytest.mark.parametrize(
    ("normal", "reversed_", "shuffled", "frozen", "verdict"),
    [
        (20, 8, 20, 20, "order"),
        (20, 20, 8, 8, "order"),
        (20, 20, 20, 8, "several frames"),
        (20, 20, 20, 20, "appearance"),
        (16, 18, 17, 16, "appearance"),
        (20, 20, 20, 18, "unclear"),
        (7, 0, 0, 0, "not recognised"),
    ],
)
def test_what_a_class_is_recognised_by(normal, reversed_, shuffled, frozen, verdict):
    counts = dict(zip(ORDERS, (normal, reversed_, shuffled, frozen), strict=True))
    probs = {order: scored(np.arange(20) < count) for order, count in counts.items()}
    (row,) = summarise_orders(probs, np.zeros(20, np.int64), ("a", "b", "c")).classes
    assert (row.verdict, row.support, row.label) == (verdict, 20, "a")
    assert row.recall == {order: count / 20 for order, count in counts.items()}
    assert row.drop == pytest.approx((normal - min(reversed_, shuffled, frozen)) / 20)
    assert (row.partner, row.taken) == (None, None)


def test_few_videos_are_not_judged():
    probs = {order: scored(np.full(9, order == "normal")) for order in ORDERS}
    use = summarise_orders(probs, np.zeros(9, np.int64), ("a", "b", "c"))
    assert use.classes[0].verdict == "too few videos"
    assert (use.partnered, use.taken) == (0, None)


def test_the_command_writes_scores_and_a_page(splits, tmp_path, capsys):
    model = create_model("tsm_resnet18", labels=splits.test.labels, width=8, input=INPUT)
    checkpoint.save(model, tmp_path / "m.safetensors")
    splits.test.save(tmp_path / "test.jsonl")
    words = ["eval", str(tmp_path / "m.safetensors"), str(tmp_path / "test.jsonl")]
    options = ["--device", "cpu", "--workers", "0", "--out", str(tmp_path / "e")]
    assert main([*words, *options, "--temporal", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["order"] for row in told["temporal"]["orders"]] == list(ORDERS)
    for row, path in zip(
        told["temporal"]["orders"], score_files(tmp_path / "e").values(), strict=True
    ):
        scores = read_scores(path)
        assert row["top1"] == summarise(scores.probs, scores.targets).top1
    page = (tmp_path / "e" / "report.html").read_text()
    assert "Does it use time?" in page
    assert "too few videos 3." in page
    assert main([*words, *options, "--temporal"]) == 0
    told = capsys.readouterr().out
    assert "reversed" in told
    assert "recognised by" in told
    assert main([*words, *options]) == 0
    assert "Does it use time?" not in (tmp_path / "e" / "report.html").read_text()


def test_scores_of_other_videos_make_no_page(slope, ramps, tmp_path):
    temporal_sensitivity(slope, ramps, workers=0, out=tmp_path)
    (tmp_path / "card.json").write_text(json.dumps({"temporal": []}))
    page = write_report(tmp_path).read_text()
    assert "24 videos belong to classes whose reversal is a class too" in page
    fewer = Manifest("fewer", ramps.labels, ramps.records[:3])
    evaluate(slope, fewer, workers=0, out=tmp_path / "scores.parquet")
    with pytest.raises(ValueError, match="reversed order are of other videos than the normal"):
        write_report(tmp_path)
