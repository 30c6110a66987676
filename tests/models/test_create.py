from __future__ import annotations

import pytest
import torch

from kinema import create_model, list_models, profile
from kinema.types import InputSpec

# Measured on the authors' own models; multiply-adds of convolutions and the classifier.
FIGURES = [
    ("tsm_resnet50", {}, (3, 8, 224, 224), 24_327_632, 32_697_090_048 + 6_553_600),
    ("tsm_resnet50", {}, (3, 16, 224, 224), 24_327_632, 65_394_180_096 + 13_107_200),
    ("tsm_resnet50", {}, (3, 8, 256, 256), 24_327_632, 42_706_403_328 + 6_553_600),
    ("tsm_resnet50", {"num_classes": 174}, (3, 8, 224, 224), 23_864_558, None),
    ("tsm_resnet50", {"num_classes": 27}, (3, 8, 224, 224), 23_563_355, None),
    ("tsn_resnet50", {}, (3, 8, 224, 224), 24_327_632, 32_697_090_048 + 6_553_600),
    ("tsm_resnet101", {}, (3, 8, 224, 224), 43_319_760, 62_394_859_520 + 6_553_600),
    ("tsm_resnet101", {"num_classes": 174}, (3, 8, 224, 224), 42_856_686, None),
    ("tsm_resnet50", {"non_local": "embedded_gaussian"}, (3, 8, 224, 224), 31_686_096,
     49_138_761_728 + 6_553_600),
    ("tsm_mobilenetv2", {}, (3, 8, 224, 224), 2_736_272, 2_395_954_176 + 4_096_000),
    ("tsm_mobilenetv2_causal", {"num_classes": 27}, (3, 1, 224, 224), 2_258_459, None),
    ("tpn_slowonly_resnet50", {}, (3, 8, 224, 224), 71_800_272, 50_276_368_384),
    ("tpn_slowonly_resnet50", {}, (3, 8, 256, 256), 71_800_272, 65_666_842_624),
    ("tpn_slowonly_resnet50", {}, (3, 32, 224, 224), 71_800_272, 198_155_075_584),
    ("tpn_slowonly_resnet101", {}, (3, 8, 224, 224), 99_705_296, 94_103_699_456),
    ("tpn_slowonly_resnet101", {}, (3, 32, 224, 224), 99_705_296, 373_001_977_856),
    ("tpn_tsm_resnet50", {"num_classes": 174}, (3, 8, 224, 224), 63_210_734, 41_232_986_112),
    ("tpn_tsm_resnet50", {"num_classes": 174}, (3, 8, 256, 256), 63_210_734, 53_855_219_712),
    ("tpn_tsn_resnet50", {"num_classes": 174}, (3, 8, 224, 224), 63_210_734, 41_232_986_112),
]  # fmt: skip


@pytest.mark.parametrize(("name", "overrides", "clip", "params", "macs"), FIGURES)
def test_figures_are_exactly_the_published_ones(name, overrides, clip, params, macs) -> None:  # type: ignore[no-untyped-def]
    with torch.device("meta"):
        model = create_model(name, **overrides)
    measured = profile(model, clip)
    assert measured.params == params
    assert macs is None or measured.macs == macs
    assert measured.flops == 2 * measured.macs
    assert sum(s.params for s in measured.stages) == measured.params
    assert sum(s.macs for s in measured.stages) == measured.macs


# Figures known to a thousandth of a billion: (clip, all, of it the neck).
ROUNDED = [
    ("slowonly_resnet50", (3, 8, 224, 224), 32_454_096, 41.741, None),
    ("slowonly_resnet50", (3, 16, 224, 224), 32_454_096, 83.481, None),
    ("slowonly_resnet50", (3, 32, 256, 256), 32_454_096, 218.071, None),
    ("slowonly_resnet101", (3, 8, 224, 224), 60_359_120, 85.414, None),
    ("slowonly_resnet101", (3, 32, 256, 256), 60_359_120, 446.241, None),
    ("tpn_slowonly_resnet50", (3, 8, 224, 224), 71_800_272, 50.276, 8.536),
    ("tpn_slowonly_resnet50", (3, 16, 224, 224), 71_800_272, 99.569, 16.088),
    ("tpn_slowonly_resnet50", (3, 16, 256, 256), 71_800_272, 130.049, 21.013),
    ("tpn_slowonly_resnet101", (3, 8, 256, 256), 99_705_296, 122.911, 11.350),
    ("tpn_slowonly_resnet101", (3, 16, 224, 224), 99_705_296, 187.070, 16.243),
    ("tpn_slowonly_resnet101", (3, 32, 256, 256), 99_705_296, 487.186, 40.945),
]


@pytest.mark.parametrize(("name", "clip", "params", "billions", "neck"), ROUNDED)
def test_figures_of_the_pyramid_and_its_baseline(name, clip, params, billions, neck) -> None:  # type: ignore[no-untyped-def]
    with torch.device("meta"):
        model = create_model(name)
    measured = profile(model, clip)
    assert measured.params == params
    assert round(measured.macs / 1e9, 3) == billions
    stages = {stage.name: stage for stage in measured.stages}
    assert neck is None or round(stages["neck"].macs / 1e9, 3) == neck
    assert neck is None or stages["neck"].params == 39_346_176


def test_attention_products_are_counted_apart() -> None:
    with torch.device("meta"):
        model = create_model("tsm_resnet50", non_local="embedded_gaussian")
    assert 11.95e9 < profile(model).attention_macs < 11.97e9


def test_shifts_stand_in_every_second_block_of_resnet101() -> None:
    with torch.device("meta"):
        model = create_model("tsm_resnet101")
    assert str(model).count("TemporalShift") == 2 + 2 + 12 + 2


@pytest.mark.parametrize(
    "name",
    [f"tsn_resnet{d}" for d in (18, 34, 50, 101, 152)]
    + [f"tsm_resnet{d}{s}" for d in (18, 34, 50, 101) for s in ("", "_causal")]
    + ["tsm_mobilenetv2", "tsm_mobilenetv2_causal"]
    + ["slowonly_resnet50", "slowonly_resnet101", "tpn_slowonly_resnet50"]
    + ["tpn_slowonly_resnet101", "tpn_tsn_resnet50", "tpn_tsm_resnet50"],
)
def test_the_promised_names_exist(name: str) -> None:
    assert name in list_models()


def test_wrong_names_and_options_are_answered_with_the_close_ones() -> None:
    with pytest.raises(KeyError, match=r"did you mean .*tsm_resnet50"):
        create_model("tsm_resnet_50")
    with pytest.raises(TypeError, match=r"no option 'shiftdiv' \(did you mean shift_div\?\)"):
        create_model("tsm_resnet18", shiftdiv=4)
    with pytest.raises(ValueError, match="num_classes=3 must equal the number of labels, 2"):
        create_model("tsm_resnet18", num_classes=3, labels=["a", "b"])
    with pytest.raises(ValueError, match="place='blok' must be one of residual, block"):
        create_model("tsm_resnet18", place="blok")
    with pytest.raises(ValueError, match="non_local='x' must be one of"):
        create_model("tsm_resnet50", width=8, non_local="x")


def test_the_spec_says_how_to_build_the_model_again() -> None:
    model = create_model("tsm_resnet18", labels=["a", "b"], width=8, shift_div=4)
    assert model.spec.labels == ("a", "b")
    assert model.spec.overrides == {"width": 8, "shift_div": 4}
    assert create_model("tsm_resnet18", width=8).spec.labels[399] == "399"


def test_views_are_scored_like_single_clips() -> None:
    model = create_model(
        "tsm_resnet18", num_classes=3, width=8, input=InputSpec(resize=40, crop=32)
    )
    model.eval()
    clips = torch.randint(0, 256, (2, 3, 3, 8, 32, 32), dtype=torch.uint8)
    logits = model.score_views(clips)
    assert logits.shape == (2, 3, 3)
    one = model(model.spec.input.to_input(clips[1, 2:3]))
    assert torch.allclose(logits[1, 2], one[0], atol=1e-6)
    assert torch.allclose(model.score_views(clips, limit=4), logits, atol=1e-6)
