from __future__ import annotations

import pytest
import torch

from kinema.types import EvalProtocol, InputSpec, Prediction, Record


def test_to_input_is_the_written_out_normalisation_in_channels_last() -> None:
    clips = torch.randint(0, 256, (2, 3, 4, 6, 6), dtype=torch.uint8)
    x = InputSpec().to_input(clips)
    assert x.is_contiguous(memory_format=torch.channels_last_3d)
    assert torch.allclose(x[1, 2], (clips[1, 2] / 255.0 - 0.406) / 0.225, atol=1e-5)
    flow = InputSpec(modality="flow", stack=5, mean=(0.5,), std=(0.226,))
    assert torch.allclose(
        flow.to_input(torch.full((1, 10, 2, 4, 4), 255, dtype=torch.uint8)),
        torch.full((1, 10, 2, 4, 4), 0.5 / 0.226),
    )
    with pytest.raises(ValueError, match=r"must be \(M, 3, T, H, W\)"):
        InputSpec().to_input(clips[:, :2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"frames": 0}, "input.frames=0 must be at least 1"),
        ({"crop": 300}, "input.crop=300 must not exceed input.resize=256"),
        (
            {"modality": "flow", "stack": 5, "mean": (0.4, 0.5, 0.6)},
            "input.mean has 3 values, but flow",
        ),
        ({"std": (0.0,)}, "must be positive"),
    ],
)
def test_impossible_inputs_are_refused(arguments: dict, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ValueError, match=message):
        InputSpec(**arguments)


def test_protocols_by_name() -> None:
    protocol = EvalProtocol.named("10x3")
    assert (protocol.views, protocol.crop, protocol.name) == (10, "three", "10x3")
    assert protocol.sides(InputSpec()) == (256, 256)
    assert EvalProtocol.named("1x1").sides(InputSpec()) == (256, 224)
    for wrong in ("3x2", "x1", "1", "0x1", "axb"):
        with pytest.raises(ValueError, match="must be VIEWSxCROPS"):
            EvalProtocol.named(wrong)
    with pytest.raises(ValueError, match="must not exceed the short side"):
        EvalProtocol(size=300).sides(InputSpec())


def test_views_combine_to_probabilities() -> None:
    logits = torch.tensor([[[2.0, 0.0], [0.0, 1.0]]])
    by_probability = EvalProtocol(views=2).combine(logits)
    by_logit = EvalProtocol(views=2, average="logit").combine(logits)
    assert torch.allclose(by_probability, logits.double().softmax(-1).mean(1))
    assert torch.allclose(by_logit, torch.tensor([[1.0, 0.5]]).double().softmax(-1))
    assert float(by_probability.sum()) == pytest.approx(1)


def test_predictions_and_records() -> None:
    scores = torch.tensor([0.2, 0.5, 0.3])
    assert Prediction(("a", "b", "c"), scores, 0, 1).top(2) == [
        ("b", pytest.approx(0.5)), ("c", pytest.approx(0.3))
    ]  # fmt: skip
    with pytest.raises(ValueError, match="must be 0 <= start < end"):
        Record("r", "x.mp4", 0, 2.0, 1.0)  # type: ignore[arg-type]


def test_the_usual_statistics_follow_the_modality() -> None:
    assert InputSpec().mean == (0.485, 0.456, 0.406)
    flow = InputSpec(modality="flow", stack=5)
    assert (flow.mean, flow.std, flow.channels) == ((0.5,), (0.226,), 10)
