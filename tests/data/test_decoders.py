"""The decoder asked for is the one that reads, in training, testing and prediction alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from kinema import checkpoint
from kinema.cli import main
from kinema.data import Decoder, Manifest, decoder_version, open_reader
from kinema.data.loader import eval_dataset
from kinema.data.readers import DECODERS, check_decoder
from kinema.engine.config import override, recipes
from kinema.inference import Predictor
from kinema.models import create_model
from kinema.types import EvalProtocol, InputSpec, Record

SPEC = InputSpec(frames=4, resize=36, crop=32)


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "model.safetensors"
    checkpoint.save(
        create_model("tsm_resnet18", labels=("class0", "class1"), width=8, input=SPEC), path
    )
    return path


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchcodec is asked for and does not load, so that an error says who asked for it."""

    def fail() -> None:
        raise ImportError("decoder=torchcodec cannot be loaded")

    monkeypatch.setattr("kinema.data.readers.load_torchcodec", fail)


def test_a_recipe_names_its_decoder() -> None:
    recipe = recipes["clips"]()
    assert recipe.decoder == "pyav"
    assert override(recipe, ["decoder=torchcodec"]).decoder == "torchcodec"
    with pytest.raises(ValueError, match=r"decoder.*'cv2'.*pyav.*torchcodec"):
        override(recipe, ["decoder=cv2"])


Ask = Callable[[Path, Manifest, Decoder], object]


@pytest.mark.usefixtures("without")
@pytest.mark.parametrize(
    "ask",
    [
        lambda file, toy, decoder: eval_dataset(toy, SPEC, EvalProtocol(), decoder=decoder),
        lambda file, toy, decoder: Predictor(file, decoder=decoder).predict(toy.records[0].path),
        lambda file, toy, decoder: open_reader(toy.records[0], decoder=decoder),
    ],
    ids=["loader", "predictor", "reader"],
)
def test_a_missing_decoder_is_told_at_once(model_file: Path, toy: Manifest, ask: Ask) -> None:
    ask(model_file, toy, "pyav")
    with pytest.raises(ImportError, match="decoder=torchcodec cannot be loaded"):
        ask(model_file, toy, "torchcodec")


@pytest.mark.usefixtures("without")
@pytest.mark.parametrize("verb", ["train", "eval", "predict"])
def test_commands_pass_the_decoder_on(
    verb: str, model_file: Path, toy: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = toy.records[0].path
    words = {
        "train": [str(video.parent.parent), "--model", "tsm_resnet18", "--out", str(tmp_path / "r")]
        + ["phases.0.batch=2", "input.resize=36", "input.crop=32", "model_args.width=8"],
        "eval": [str(model_file), str(video.parent.parent)],
        "predict": [str(model_file), str(video)],
    }[verb]
    assert main([verb, *words, "--decoder", "torchcodec"]) == 2
    assert "decoder=torchcodec cannot be loaded" in capsys.readouterr().err
    assert main([verb, *words, "--decoder", "cv2"]) == 2
    assert "decoder='cv2' must be one of pyav, torchcodec" in capsys.readouterr().err


def test_both_decoders_predict_the_same_and_are_named(
    model_file: Path, toy: Manifest, tmp_path: Path
) -> None:
    try:
        check_decoder("torchcodec")
    except ImportError as error:
        pytest.skip(str(error))
    video = toy.records[0].path
    first, second = (Predictor(model_file, decoder=each).predict(video) for each in DECODERS)
    assert torch.allclose(first.scores, second.scores, atol=0.05)
    out, root = tmp_path / "out", video.parent.parent
    words = ["eval", str(model_file), str(root), "--workers", "0", "--decoder", "torchcodec"]
    assert main([*words, "--out", str(out)]) == 0
    card = json.loads((out / "card.json").read_text())
    assert card["decoder"] == decoder_version("torchcodec")
    assert card["decoder"].startswith("torchcodec ")
    assert decoder_version() in card["decoder"]
    record = Record("v", video, None)
    assert type(open_reader(record, decoder="torchcodec")) is not type(open_reader(record))
