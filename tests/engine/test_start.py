"""Where training starts from: what is kept, what is new, and what is refused."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import torch

from kinema import checkpoint
from kinema.engine import start
from kinema.engine.start import IMAGENET_FILES, imagenet_file, start_from
from kinema.models import create_model
from kinema.published import export_state_dict
from kinema.types import InputSpec


def small(name="tsm_resnet18", *, classes=3, labels=None, width=8, **others):
    if labels is not None:
        classes = len(labels)
    return create_model(name, num_classes=classes, labels=labels, width=width, **others)


def by_rule(state):
    """Every tensor filled by a rule, so that a mistaken place shows."""
    return {
        key: (torch.arange(x.numel()).view(x.shape) % 97 + i) / 100 if x.is_floating_point() else x
        for i, (key, x) in enumerate(state.items())
    }


@pytest.fixture
def imagenet(tmp_path, monkeypatch):
    """Puts a rule-made file of official keys and shapes into a cache, its hash in its name."""

    def make(kind: str, width: int = 8) -> tuple[Path, dict[str, torch.Tensor]]:
        donor = create_model(f"tsm_{kind}", num_classes=1000, width=width)
        state = by_rule(export_state_dict(donor, source="pytorch/vision"))
        torch.save(state, tmp_path / "made.pth")
        digest = hashlib.sha256((tmp_path / "made.pth").read_bytes()).hexdigest()[:8]
        name = f"{IMAGENET_FILES[kind].rpartition('-')[0]}-{digest}.pth"
        (tmp_path / "made.pth").rename(tmp_path / name)
        monkeypatch.setattr(start, "IMAGENET_FILES", {**IMAGENET_FILES, kind: name})
        monkeypatch.setenv("KINEMA_CACHE", str(tmp_path))
        return tmp_path / name, state

    return make


def test_official_names():
    assert IMAGENET_FILES["resnet50"] == "resnet50-0676ba61.pth"
    assert IMAGENET_FILES["mobilenetv2"] == "mobilenet_v2-b0353104.pth"
    assert start.IMAGENET_URL == "https://download.pytorch.org/models/"


def test_scratch_changes_nothing():
    model = small()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    report = start_from(model, "scratch")
    assert report.kept == ()
    assert report.parameters == (0, sum(p.numel() for p in model.parameters()))
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert report.lines() == ["start: scratch, every weight is new"]


@pytest.mark.parametrize(
    ("name", "kind", "key"),
    [
        ("tsm_resnet18", "resnet18", "layer3.1.conv2.weight"),
        ("tsn_resnet50", "resnet50", "layer2.0.downsample.0.weight"),
        ("tsm_mobilenetv2", "mobilenetv2", "features.0.0.weight"),
    ],
)
def test_imagenet_keeps_all_but_the_classifier(imagenet, name, kind, key):
    _, state = imagenet(kind)
    model = small(name)
    head = model.head.fc.weight.clone()
    report = start_from(model, "imagenet")
    assert torch.equal(model.state_dict()[f"backbone.{key}"], state[key])
    assert torch.equal(model.head.fc.weight, head)
    assert report.new == ("head.fc.weight", "head.fc.bias")
    assert report.fitted == report.left == ()
    assert report.head == "new"
    text = "\n".join(report.lines())
    assert "imagenet" in text
    assert "new: head.fc.weight, head.fc.bias" in text


def test_official_shapes_of_resnet50(imagenet):
    path, state = imagenet("resnet50", width=64)
    assert len(state) == 320
    assert state["fc.weight"].shape == (1000, 2048)
    model = create_model("tsm_resnet50", num_classes=5)
    report = start_from(model, "imagenet")
    assert len(report.kept) == 318
    assert report.parameters == (23_508_032, 5 * 2049)


@pytest.mark.parametrize(("modality", "channels"), [("flow", 10), ("rgb_diff", 15)])
def test_imagenet_fits_the_stem_to_other_channels(modality, channels, imagenet, tmp_path):
    """Every channel gets the mean over red, green and blue; so it is from a model file of RGB."""
    _, state = imagenet("resnet18")
    spec = InputSpec(modality=modality, stack=5)
    model = small(input=spec)
    report = start_from(model, "imagenet")
    assert report.fitted == ("backbone.conv1.weight",)
    mean = state["conv1.weight"].mean(1, keepdim=True)
    fitted = model.backbone.conv1.weight
    assert fitted.shape[1] == channels
    torch.testing.assert_close(fitted, mean.expand_as(fitted))
    colours = small(labels=["a", "b"])
    start_from(colours, "imagenet")
    checkpoint.save(colours, tmp_path / "rgb.safetensors")
    other = small(input=spec)
    start_from(other, str(tmp_path / "rgb.safetensors"))
    assert torch.equal(other.backbone.conv1.weight, fitted)


def test_imagenet_of_another_width_is_told_in_one_line(imagenet):
    imagenet("resnet18")
    with pytest.raises(
        ValueError, match=r"imagenet .*conv1.weight .*, \.\.\.; .*width=16"
    ) as caught:
        start_from(small(width=16), "imagenet")
    text = str(caught.value)
    assert text.count("shape ") == 3
    assert len(text) < 600
    assert "\n" not in text


def test_imagenet_leaves_added_blocks_new(imagenet):
    imagenet("resnet50")
    model = small("tsm_resnet50", non_local="embedded_gaussian")
    report = start_from(model, "imagenet")
    assert any(".after." in name for name in report.new)
    assert not any(".after." in name for name in report.kept)


def test_a_damaged_file_in_the_cache_is_refused(imagenet):
    path, _ = imagenet("resnet18")
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"x")
    with pytest.raises(ValueError, match=r"has SHA-256 .*its name promises"):
        start_from(small(), "imagenet")


def test_download_is_checked_and_kept(imagenet, tmp_path):
    path, _ = imagenet("resnet18")
    origin = tmp_path / "origin"
    origin.mkdir()
    path.rename(origin / path.name)
    start.fetch((origin / path.name).as_uri(), path, check=lambda p: start.check_hash(p, path.name))
    assert path.read_bytes() == (origin / path.name).read_bytes()
    (origin / "bad.pth").write_bytes(b"not it")
    wrong = tmp_path / "resnet18-00000000.pth"
    with pytest.raises(ValueError, match="its name promises 00000000"):
        start.fetch(
            (origin / "bad.pth").as_uri(), wrong, check=lambda p: start.check_hash(p, wrong.name)
        )
    assert not wrong.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["origin", path.name])


def test_without_a_network_the_error_says_what_to_do(tmp_path, monkeypatch):
    def refuse(url, timeout):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    expected = (
        r"https://download.pytorch.org/models/resnet18-f37072fd.pth cannot be reached "
        r"\(no route to host\); fetch it elsewhere and put it at .*resnet18-f37072fd.pth"
    )
    with pytest.raises(FileNotFoundError, match=expected):
        start_from(small(), "imagenet", cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_imagenet_needs_an_image_network(tmp_path):
    model = small()
    model.spec = type(model.spec)(name="c3d", labels=model.spec.labels)
    with pytest.raises(ValueError, match="no ImageNet weights for c3d; there are for resnet18"):
        imagenet_file(model, tmp_path)


def test_imagenet_says_which_file_a_big_little_network_needs(tmp_path):
    model = create_model("blvnet_tam_resnet50", num_classes=3, width=8)
    with pytest.raises(ValueError, match="init=FILE init_source=IBM/BigLittleNet"):
        start_from(model, "imagenet", cache=tmp_path)


@pytest.mark.parametrize(
    ("labels", "head"), [(("a", "b", "c"), "kept"), (("a", "c", "b"), "new"), (("a", "b"), "new")]
)
def test_a_model_files_classifier_stays_for_the_same_classes(tmp_path, labels, head):
    donor = small(labels=("a", "b", "c"))
    donor.load_state_dict(by_rule(donor.state_dict()))
    donor.spec = type(donor.spec)(
        name=donor.spec.name,
        overrides=donor.spec.overrides,
        input=InputSpec(frames=2, resize=32, crop=32),
        labels=donor.spec.labels,
    )
    checkpoint.save(donor, tmp_path / "m.safetensors")
    model = small(labels=labels)
    fresh = model.head.fc.weight.clone()
    report = start_from(model, str(tmp_path / "m.safetensors"))
    assert report.head == head
    expected = donor.head.fc.weight if head == "kept" else fresh
    assert torch.equal(model.head.fc.weight, expected)
    assert torch.equal(model.backbone.conv1.weight, donor.backbone.conv1.weight)


def test_a_frame_network_starts_a_shifted_one(tmp_path):
    spec = InputSpec(frames=2, resize=32, crop=32)
    donor = small("tsn_resnet18", input=spec, labels=("a", "b"))
    checkpoint.save(donor, tmp_path / "m.safetensors")
    model = small("tsm_resnet18", labels=("a", "b"))
    report = start_from(model, str(tmp_path / "m.safetensors"))
    assert report.new == ()


def test_a_backbone_by_itself_starts_one_with_a_neck(tmp_path):
    spec = InputSpec(frames=2, resize=32, crop=32)
    donor = small(input=spec, labels=("a", "b", "c"))
    checkpoint.save(donor, tmp_path / "m.safetensors")
    model = small("tpn_tsm_resnet18", labels=("a", "b", "c"))
    report = start_from(model, str(tmp_path / "m.safetensors"))
    assert report.head == "new"  # it reads the neck's channels
    assert {name.partition(".")[0] for name in report.new} == {"neck", "head"}
    assert report.left == ()
    assert torch.equal(model.backbone.layer4[1].conv2.weight, donor.backbone.layer4[1].conv2.weight)


def test_a_published_file_with_its_source(tmp_path):
    donor = small(classes=7)
    donor.load_state_dict(by_rule(donor.state_dict()))
    state = export_state_dict(donor, source="mit-han-lab/temporal-shift-module")
    torch.save({"state_dict": {f"module.{k}": x for k, x in state.items()}}, tmp_path / "p.pth")
    model = small(classes=3)
    report = start_from(model, str(tmp_path / "p.pth"), source="mit-han-lab/temporal-shift-module")
    assert report.new == ("head.fc.weight", "head.fc.bias")
    assert torch.equal(model.backbone.layer4[1].conv2.weight, donor.backbone.layer4[1].conv2.weight)


def test_another_width_is_refused(tmp_path):
    donor = small(width=16, input=InputSpec(frames=2, resize=32, crop=32))
    checkpoint.save(donor, tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match=r"not the same architecture as tsm_resnet18.*conv1"):
        start_from(small(), str(tmp_path / "m.safetensors"))


def test_no_overlap_is_refused(tmp_path):
    spec = InputSpec(frames=2, resize=32, crop=32)
    checkpoint.save(small("tsm_mobilenetv2", input=spec), tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="no convolution in common with tsm_resnet18"):
        start_from(small(), str(tmp_path / "m.safetensors"))


def test_a_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match="init='nowhere.pth' must be scratch, imagenet"):
        start_from(small(), "nowhere.pth")
