"""Recipes as data: overrides, YAML, the rules of their fields."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kinema.engine.config import (
    Augment,
    EvalProtocol,
    Optim,
    ParamRule,
    Phase,
    Recipe,
    list_recipes,
    load_recipe,
    override,
    recipes,
    save_recipe,
)
from kinema.losses import CrossEntropyConfig
from kinema.models import create_model
from kinema.types import MOTION_STATISTICS

RECIPE = Recipe(
    model="tsm_resnet18", phases=(Phase(frames=8, epochs=10, batch=32, lr=0.02, lr_batch=64),)
)


@pytest.mark.parametrize(
    ("assignment", "read", "value"),
    [
        ("optim.momentum=0.95", lambda r: r.optim.momentum, 0.95),
        ("phases.0.lr=1e-3", lambda r: r.phases[0].lr, 0.001),
        ("phases[0].lr=1", lambda r: r.phases[0].lr, 1.0),
        ("phases.0.schedule=[4, 8]", lambda r: r.phases[0].schedule, (4, 8)),
        ("model_args.width=16", lambda r: r.model_args, {"width": 16}),
        ("eval=10x3", lambda r: r.eval, EvalProtocol(views=10, crop="three")),
        ("eval.average=logit", lambda r: r.eval.average, "logit"),
        ("name=2024", lambda r: r.name, "2024"),
        ("compile=true", lambda r: r.compile, True),
        ("freeze=[stem, layer1]", lambda r: r.freeze, ("stem", "layer1")),
        ("loss.0.smoothing=0.1", lambda r: r.loss, (CrossEntropyConfig(smoothing=0.1),)),
        ("augment.flip=false", lambda r: r.augment.flip, False),
    ],
)
def test_override_reads_the_type_of_the_field(assignment, read, value):
    changed = override(RECIPE, [assignment])
    assert read(changed) == value
    assert type(read(changed)) is type(value)
    assert read(RECIPE) != value


def test_overrides_are_checked_together():
    changed = override(RECIPE, ["phases.0.epochs=0", "phases.0.steps=100"])
    assert (changed.phases[0].length, changed.phases[0].unit) == (100, "steps")


@pytest.mark.parametrize("modality", ["flow", "rgb_diff"])
def test_another_modality_brings_its_own_statistics(modality):
    changed = override(RECIPE, [f"input.modality={modality}", "input.stack=5"]).input
    assert changed == replace(RECIPE.input, modality=modality, stack=5, mean=(), std=())
    assert (changed.mean, changed.std) == MOTION_STATISTICS
    whole = override(RECIPE, [f"input={{modality: {modality}, mean: [0.4]}}"]).input
    assert (whole.mean, whole.std) == ((0.4,), MOTION_STATISTICS[1])
    mine = override(RECIPE, ["input.mean=[0.1, 0.2, 0.3]", "input.modality=rgb"]).input
    assert (mine.mean, mine.std) == ((0.1, 0.2, 0.3), RECIPE.input.std)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("optim.momentun=0.9", r"optim.momentun is not known \(did you mean momentum\?\)"),
        ("optimm.momentum=0.9", r"optimm is not known \(did you mean optim\?\)"),
        ("optim.momentum=fast", r"optim.momentum='fast' must be a number"),
        ("phases.1.lr=0.1", r"phases.1.lr: '1' must be an index below 1"),
        ("seed.x=1", r"seed.x: 0 is one value and has no part 'x'"),
        ("seed=1.5", r"seed=1.5 must be a whole number"),
        ("seed", r"'seed' must be path=value"),
        ("optim.name=adam", r"optim.name='adam' must be one of sgd, adamw"),
        ("eval=10", r"protocol|eval=10"),
        ("eval=1x2", r"protocol '1x2' must be VIEWSxCROPS"),
        ("phases.0.batch=0", r"batch=0 must be at least 1"),
        ("phases.0.schedule=[8, 4]", r"must rise and lie within 10 epochs"),
        ("phases.0.warmup=10", r"warmup=10.0 must be at least 0 and below 10 epochs"),
        ("phases.0.steps=5", r"epochs=10 steps=5: exactly one must be above 0"),
        ("optim.ema=1", r"ema=1.0 must be at least 0 and below 1"),
        ("freeze_bn=some", r"freeze_bn='some' must be one of none, all_but_first, all"),
        ("model_args.x={", r"must have a YAML value"),
        ("input.frames=16", r"input.frames=16: no phase uses it; give phases.0.frames=16"),
        ("input={stride: 2}", r"input.stride=2: no phase uses it; give phases.0.stride=2"),
    ],
)
def test_override_errors_name_path_value_and_rule(assignment, message):
    with pytest.raises(ValueError, match=message):
        override(RECIPE, [assignment])


def test_an_input_that_agrees_with_a_phase_may_be_given():
    both = override(RECIPE, ["input.frames=16", "phases.0.frames=16"])
    assert (both.input.frames, both.phases[0].frames) == (16, 16)
    assert override(RECIPE, ["phases.0.frames=16"]).input_for(RECIPE.phases[0]).frames == 8
    assert override(RECIPE, ["input={resize: 64, crop: 56}"]).input.crop == 56
    assert override(RECIPE, ["input.crop=112"]).input.crop == 112


def test_compile_and_recompute_exclude_each_other():
    with pytest.raises(ValueError, match="compile=true and recompute=true do not go together"):
        override(RECIPE, ["compile=true", "recompute=true"])


def test_lr_follows_the_batch():
    assert RECIPE.phases[0].peak_lr == 0.01
    assert override(RECIPE, ["phases.0.batch=128"]).phases[0].peak_lr == 0.04
    fixed = override(RECIPE, ["phases.0.lr_batch=0"])
    assert override(fixed, ["phases.0.batch=128"]).phases[0].peak_lr == 0.02


def test_a_bad_pattern_is_named():
    with pytest.raises(ValueError, match=r"pattern='\(' must be a regular expression"):
        ParamRule(pattern="(")


def test_yaml_round_trip(tmp_path):
    recipe = replace(
        RECIPE,
        model_args={"width": 16, "dropout": 0.1, "non_local": None},
        phases=(*RECIPE.phases, Phase(frames=16, steps=7, batch=4, lr=1e-5, schedule=(3, 5))),
        optim=Optim(name="adamw", betas=(0.8, 0.99), rules=(ParamRule(role="norm", decay=0.0),)),
        augment=Augment(crop="random_resized", mixup=0.2),
        eval=EvalProtocol(views=2, crop="three", size=128, average="logit"),
        loss=(CrossEntropyConfig(smoothing=0.1),),
        freeze=("stem",),
    )
    save_recipe(recipe, tmp_path / "a.yaml")
    assert load_recipe(tmp_path / "a.yaml") == recipe
    save_recipe(load_recipe(tmp_path / "a.yaml"), tmp_path / "b.yaml")
    assert (tmp_path / "a.yaml").read_text() == (tmp_path / "b.yaml").read_text()


def test_a_short_yaml_is_enough(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("model: tsn_resnet18\nphases: [{frames: 4, epochs: 2}]\neval: 3x3\n")
    expected = Recipe(
        model="tsn_resnet18",
        phases=(Phase(frames=4, epochs=2),),
        eval=EvalProtocol(views=3, crop="three"),
    )
    assert load_recipe(path) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: a\n", r"r.yaml: phases is missing"),
        ("model: [", r"r.yaml must be YAML"),
        ("model: a\nphases: []\n", r"r.yaml: phases must hold at least one"),
        ("model: a\nphases: [{frames: 4, epoch: 1}]", r"phases\[0\].epoch is not known"),
    ],
)
def test_yaml_errors_name_the_file(tmp_path, text, message):
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_recipe(path)


def test_inputs_of_training_and_test():
    recipe = replace(RECIPE, test_frames=25)
    phase = replace(recipe.phases[0], frames=3, stride=2)
    assert (recipe.input_for(phase).frames, recipe.input_for(phase).stride) == (3, 2)
    assert recipe.input_at_test(phase).frames == 25
    assert RECIPE.input_at_test(phase).frames == 3


@pytest.mark.parametrize("name", list_recipes())
def test_every_recipe_builds_its_model_and_survives_yaml(name, tmp_path):
    recipe = recipes[name]()
    assert recipe.name == name
    save_recipe(recipe, tmp_path / "r.yaml")
    assert load_recipe(tmp_path / "r.yaml") == recipe
    small = {"width": 8, **recipe.model_args}
    model = create_model(
        recipe.model, num_classes=5, input=recipe.input_for(recipe.phases[0]), **small
    )
    assert model.spec.input.frames == recipe.phases[0].frames


@pytest.mark.parametrize(
    ("name", "lr", "batch", "epochs", "marks", "decay"),
    [
        ("tsm_resnet50_k400", 0.02, 128, 50, (20, 40), 1e-4),
        ("tsm_resnet50_sthv1", 0.01, 64, 50, (20, 40), 5e-4),
        ("tsm_resnet50_ucf101", 0.001, 64, 25, (10, 20), 5e-4),
        ("tsm_resnet50_k400_mmaction2", 0.02, 128, 50, (25, 45), 1e-4),
        ("tsn_resnet50_k400", 0.02, 128, 50, (20, 40), 1e-4),
        ("tsn_resnet50_k400_mmaction2", 0.01, 256, 100, (40, 80), 1e-4),
        ("tpn_slowonly_resnet50_k400_8x8", 0.01, 64, 150, (75, 125), 1e-4),
        ("tpn_slowonly_resnet101_k400_32x2", 0.01, 64, 150, (75, 125), 1e-4),
        ("tpn_slowonly_resnet50_k400_47e", 0.01, 128, 47, (27,), 1e-4),
        ("tpn_tsm_resnet50_sthv1", 0.01, 64, 150, (75, 125), 5e-4),
    ],
)
def test_published_settings(name, lr, batch, epochs, marks, decay):
    recipe = recipes[name]()
    phase = recipe.phases[0]
    assert (phase.lr, phase.lr_batch, phase.epochs) == (lr, batch, epochs)
    assert (phase.schedule, recipe.optim.weight_decay) == (marks, decay)


@pytest.mark.parametrize("name", list_recipes("tpn_slowonly_*"))
def test_clips_of_the_pyramid_span_64_frames(name):
    recipe = recipes[name]()
    spec = recipe.input_for(recipe.phases[0])
    assert spec.frames * spec.stride == 64
    assert (spec.frames, spec.stride) == (recipe.input.frames, recipe.input.stride)
    assert recipe.eval.name == "10x3"
    assert recipe.eval.sides(spec) == (256, 256)
    assert [type(term).__name__ for term in recipe.loss] == ["CrossEntropyConfig", "AuxHeadConfig"]
