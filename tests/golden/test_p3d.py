"""P3D against the authors' semantics and the PyTorch port's, and its published costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from kinema import convert, create_model, profile

PORT = "qijiezhao/pseudo-3d-pytorch"
MODELS = {
    "mixed": "p3d_resnet50", "A": "p3d_a_resnet50", "B": "p3d_b_resnet50", "C": "p3d_c_resnet50",
}  # fmt: skip


@pytest.mark.parametrize(("semantics", "key"), [("authors", "caffe"), ("port", "port")])
@pytest.mark.parametrize("case", MODELS)
def test_networks_within_1e_6_of_the_largest(
    shared: Path, case: str, semantics: str, key: str
) -> None:
    cases = torch.load(shared / "golden" / "p3d.pt", weights_only=True)["cases"]
    state = {k: x.float() if x.is_floating_point() else x
             for k, x in cases["mixed"]["state_dict"].items()}  # fmt: skip
    model = convert(
        state, source=PORT, model=MODELS[case], width=16, semantics=semantics, num_classes=11
    )
    clip = cases["mixed"]["input"].float().contiguous(memory_format=torch.channels_last_3d)
    with torch.no_grad():
        out = model.run(clip)
    for got, wanted in (
        (out.logits, cases[case][f"{key}_logits"]), (out.embedding, cases[case][f"{key}_pool5"]),
    ):  # fmt: skip
        assert (got - wanted).abs().max() < 1e-6 * wanted.abs().max()


# (model, input channels, classes, parameters, multiply-adds of 16x160x160)
COSTS = [
    ("p3d_resnet50", 3, 400, 25_745_232, 8_441_036_800 + 819_200),
    ("p3d_a_resnet50", 3, 400, 25_745_232, 8_441_036_800 + 819_200),
    ("p3d_resnet101", 3, 400, 48_088_400, 12_897_484_800 + 819_200),
    ("p3d_resnet152", 3, 400, 66_492_240, 18_402_508_800 + 819_200),
    ("p3d_resnet152", 2, 400, 66_489_104, 18_081_382_400 + 819_200),
]


@pytest.mark.parametrize(("name", "channels", "classes", "params", "macs"), COSTS)
def test_costs_are_exact(name: str, channels: int, classes: int, params: int, macs: int) -> None:
    from kinema.types import InputSpec

    flow: dict[str, Any] = {"input": InputSpec(modality="flow")} if channels == 2 else {}
    with torch.device("meta"):
        model = create_model(name, num_classes=classes, **flow)
    cost = profile(model, (channels, 16, 160, 160))
    assert (cost.params, cost.macs) == (params, macs)


@pytest.mark.parametrize(
    ("name", "classes", "params"),
    [("p3d_resnet152", 487, 66_670_503), ("p3d_resnet152", 101, 65_879_589),
     ("p3d_resnet50", 101, 25_132_581)],
)  # fmt: skip
def test_parameters_with_other_classifiers(name: str, classes: int, params: int) -> None:
    with torch.device("meta"):
        model = create_model(name, num_classes=classes)
    assert sum(p.numel() for p in model.parameters()) == params
