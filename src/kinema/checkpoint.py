"""The model file: weights, and everything needed to use them, in one safetensors file.

The header holds plain JSON: how to rebuild the model, its labels, its input, its views, where it
came from, and the logits of a fixed clip. `load` recomputes those logits, so a file that loads also
computes what it computed when saved.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor

from . import __version__
from .files import atomic
from .models import VideoModel, create_model
from .plain import from_plain, to_plain
from .types import JSON, InputSpec, ModelSpec

FORMAT = 1
SELF_TEST_TOLERANCE = 1e-3  # of the largest logit; kernels differ between machines, models do not


def fixed_clip(spec: InputSpec) -> Tensor:
    """The self-test's input, a pure function of its shape: (1, 1, C, T, crop, crop) uint8."""
    shape = (1, 1, spec.channels, spec.frames, spec.crop, spec.crop)
    count = torch.Size(shape).numel()
    noise = torch.arange(count).mul_(2654435761).bitwise_right_shift_(11).bitwise_and_(255)
    return noise.to(torch.uint8).view(shape)


def self_test_logits(model: VideoModel) -> Tensor:
    """Logits (K,) of the fixed clip, in eval mode."""
    training = model.training
    model.eval()
    try:
        return model.score_views(fixed_clip(model.spec.input))[0, 0]
    finally:
        model.train(training)


def save(model: VideoModel, path: str | Path, **provenance: JSON) -> None:
    """Writes a model file, whole or not at all.

    Args:
        model: as `create_model` or training made it.
        path: where; a `.safetensors` name is usual.
        provenance: plain data kept in the header: recipe, metrics, fingerprint, card.
    """
    logits = self_test_logits(model)
    if not torch.isfinite(logits).all():
        raise ValueError(f"{path} not written: the model's logits are not finite")
    header = {
        "format": FORMAT,
        "spec": to_plain(model.spec),
        "provenance": provenance,
        "self_test": logits.tolist(),
        "versions": {"kinema": __version__, "torch": torch.__version__},
    }
    tensors = {name: x.detach().cpu().contiguous() for name, x in model.state_dict().items()}
    with atomic(Path(path)) as temporary:
        save_file(tensors, temporary, metadata={"kinema": json.dumps(header)})


def read_header(path: str | Path) -> dict[str, JSON]:
    """The plain-data half of a model file, without its weights.

    Raises:
        FileNotFoundError: where there is no file.
        ValueError: where it is not a model file of a format this version knows.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no model file at {path}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata: Mapping[str, str] = file.metadata() or {}
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"{path} is not a kinema model file ({error}); "
            "a published checkpoint must be converted first: kinema convert"
        ) from error
    if "kinema" not in metadata:
        raise ValueError(
            f"{path} holds weights but no kinema header; convert it first: kinema convert"
        )
    header: dict[str, JSON] = json.loads(metadata["kinema"])
    if header["format"] != FORMAT:
        raise ValueError(f"{path} has format {header['format']}, this version reads {FORMAT}")
    return header


def load(path: str | Path, device: torch.device | str = "cpu") -> VideoModel:
    """Rebuilds the model a file describes, in eval mode; nothing else is needed.

    Raises:
        ValueError: where tensors are missing or left over, or the self-test gives other logits than
            when saved.
    """
    header = read_header(path)
    spec = from_plain(ModelSpec, header["spec"], "spec")
    model = create_model(
        spec.name,
        input=spec.input,
        labels=spec.labels,
        **spec.overrides,  # type: ignore[arg-type]
    )
    model.spec = spec
    with safetensors.safe_open(Path(path), framework="pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, no mapping
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise ValueError(f"{path} does not fit {spec.name}: {error}") from error
    model.eval()
    wanted, got = torch.tensor(header["self_test"]), self_test_logits(model)
    off = float((got - wanted).abs().max() / wanted.abs().max().clamp_min(1e-6))
    if not off <= SELF_TEST_TOLERANCE:
        raise ValueError(
            f"{path} fails its self-test: logits differ by {off:.1e} of the largest "
            f"(allowed {SELF_TEST_TOLERANCE:.0e}); the file is damaged or this version computes "
            f"something else than kinema {header['versions']}"
        )
    return model.to(device)
