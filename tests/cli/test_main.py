"""The shell of the command line: help, errors in one line, exit statuses."""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest

import kinema
from kinema import cli
from kinema.cli.train import stem
from kinema.cli.verb import Verb


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Makes `kinema doctor` raise."""

    def run(args: Namespace) -> int:
        raise error

    monkeypatch.setattr(cli, "VERBS", tuple(replace(v, run=run) for v in cli.VERBS))


@pytest.mark.parametrize("verb", cli.VERBS, ids=lambda v: v.name)
def test_help_of_every_command_ends_with_examples(
    verb: Verb, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*verb.name.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert text.rstrip().endswith(verb.examples[-1].rstrip())
    assert verb.summary[1:] in " ".join(text.split())


@pytest.mark.parametrize("verb", cli.VERBS, ids=lambda v: v.name)
def test_examples_parse(verb: Verb) -> None:
    for example in verb.examples:
        command = example.partition("#")[0].partition(">")[0].replace("'", "").split()
        words = command[command.index("kinema") + 1 :]
        assert cli.parse(words).verb is verb


def test_every_command_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    for verb in cli.VERBS:
        assert f"    {verb.name.split()[0]}" in text


def test_every_file_of_the_package_is_a_command() -> None:
    names = {path.stem for path in Path(cli.__file__).parent.glob("*.py")} - {"__init__", "verb"}
    assert names == {verb.name.replace(" ", "_") for verb in cli.VERBS}


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"kinema {kinema.__version__}\n"


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ([], ["a command is missing"]),
        (["data"], ["a command is missing", "kinema data --help"]),
        (["trian", "x"], ["'trian'", "did you mean train?"]),
        (["train"], ["DATA", "kinema train --help"]),
        (["train", "x", "--modle", "y"], ["'--modle'", "a.b=c"]),
        (["train", "x", "--model", "y", "lr"], ["'lr'", "a.b=c"]),
        (["eval", "m", "d", "a=1"], ["'a=1'"]),
        (["models", "nothing*"], ["no model matches 'nothing*'"]),
        (["recipes", "nothing*"], ["no recipe matches 'nothing*'"]),
        (["train", ".", "--recipe", "clps"], ["'clps'", "did you mean clips"]),
        (["train", "."], ["--model or --recipe is needed"]),
        (["train", ".", "--model", "m", "--source", "s"], ["--source s", "--init"]),
        (["predict", "gone.safetensors", "v.mp4"], ["gone.safetensors"]),
        (["predict", "m", "v.mp4", "--top", "0"], ["--top 0", "at least 1"]),
        (["data", "make", "o", "--classes", "left,rihgt"], ["'rihgt'", "did you mean right"]),
        (["data", "make", "o", "--size", "63"], ["size=63", "even"]),
        (["data", "make", "o", "--size", "tiny"], ["--size tiny", "go with --benchmark"]),
        (["data", "make", "o", "--benchmark", "ordr"], ["'ordr'", "did you mean order"]),
        (["data", "make", "o", "--benchmark", "order", "--size", "96"], ["'96'", "tiny, small"]),
        (["data", "make", "o", "--benchmark", "order", "--seed", "1"], ["decides seed"]),
    ],
)
def test_wrong_words_are_one_line_and_status_2(
    words: list[str],
    parts: list[str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("kinema: error: ")
    assert err.count("\n") == 1
    for part in parts:
        assert part in err


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("a=1 must be 2\nand b=3 too"), "a=1 must be 2; and b=3 too"),
        (KeyError("no x is named y"), "no x is named y"),
        (FileNotFoundError(2, "No such file or directory", "v.mp4"), "v.mp4: no such file or dir"),
        (FileNotFoundError("put it at x"), "put it at x"),
        (RuntimeError("sizes"), "unexpected RuntimeError: sizes; --debug shows where"),
        (AssertionError(), "unexpected AssertionError: no message; --debug shows where"),
    ],
)
def test_exceptions_become_one_line(
    error: Exception,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    failing(monkeypatch, error)
    assert cli.main(["doctor"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"kinema: error: {line}")
    assert err.count("\n") == 1


@pytest.mark.parametrize("words", [["--debug", "doctor"], ["doctor", "--debug"]])
def test_debug_shows_the_traceback(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, ValueError("told"))
    assert cli.main(words) == 2
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.endswith("kinema: error: told\n")


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    failing(monkeypatch, KeyboardInterrupt())
    assert cli.main(["doctor"]) == 130
    assert capsys.readouterr().err == "kinema: stopped on request\n"


def test_overrides_may_stand_anywhere_behind_the_data() -> None:
    args = cli.parse(["train", "data", "a.b=1", "--model", "m", "phases[0].lr=2", "--resume"])
    assert args.data == "data"
    assert args.overrides == ["a.b=1", "phases[0].lr=2"]


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("ucf101:/videos/ucf", "ucf101"), ("ucf101:C:\\ucf", "ucf101"), ("my/clips/", "clips"),
        ("list.csv", "list"), ("C:clips", "C:clips"), ("take:2/a.csv", "a"),
    ],
)  # fmt: skip
def test_runs_are_called_after_their_data(data: str, name: str) -> None:
    assert stem(data) == name


def test_the_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, kinema.cli; kinema.cli.main(['--help']); "
        "print(sorted({'torch', 'numpy', 'av', 'pyarrow', 'matplotlib'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.endswith("[]\n")


def test_a_reader_that_leaves_is_no_error() -> None:
    code = "import sys, kinema.cli; sys.exit(kinema.cli.main(['recipes']))"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0
