"""What users install: the built wheel, in an environment without this source tree."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """The wheel of the working tree, built by the installed backend: no network."""
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", out, repository],
        check=True,
        capture_output=True,
    )
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """The bin folder of a fresh environment with the wheel and this one's dependencies.

    Their folder is added as a path, not as a site folder, so that an editable installation of
    kinema in it stays out of sight.
    """
    root = tmp_path_factory.mktemp("clean")
    venv.create(root, with_pip=False, symlinks=True)
    python = root / "bin" / "python"
    site = Path(sysconfig.get_path("purelib", vars={"base": str(root), "platbase": str(root)}))
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--quiet",
         "--no-index", "--disable-pip-version-check", wheel],
        check=True,
        capture_output=True,
    )  # fmt: skip
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return root / "bin"


def run(command: list[str | Path], folder: Path) -> str:
    """Output of a command run away from the source tree, without its path."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_wheel_has_every_file_of_the_package(wheel: Path, repository: Path) -> None:
    source = repository / "src"
    wanted = {
        path.relative_to(source).as_posix()
        for path in (source / "kinema").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    names = set(zipfile.ZipFile(wheel).namelist())
    assert wanted <= names
    assert {"kinema/py.typed", "kinema/engine/templates/report.html.j2"} <= names
    assert all(name.startswith("kinema") for name in names)
    packages = {str(Path(name).parent) for name in wanted if name.endswith("__init__.py")}
    for part in ("cli", "data/readers", "data/datasets", "engine/recipes", "models", "tools"):
        assert f"kinema/{part}" in packages


def test_wheel_carries_the_licence_and_the_command(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (info,) = {n.split("/")[0] for n in archive.namelist() if ".dist-info/" in n}
    assert "Apache License" in archive.read(f"{info}/licenses/LICENSE").decode()
    assert "kinema = kinema.cli:main" in archive.read(f"{info}/entry_points.txt").decode()
    metadata = archive.read(f"{info}/METADATA").decode()
    assert "Requires-Python: >=3.11" in metadata
    for line in metadata.splitlines():  # no second build of torch, and no upper bounds but one:
        if line.startswith("Requires-Dist:"):  # later ones of torchcodec need a CUDA torch
            assert "<" not in line or line.startswith("Requires-Dist: torchcodec")
            assert "torchvision" not in line


def test_installed_package_is_the_wheels(installed: Path, tmp_path: Path) -> None:
    where = run([installed / "python", "-c", "import kinema; print(kinema.__file__)"], tmp_path)
    assert Path(where.strip()).is_relative_to(installed.parent)


def test_installed_command_lists_models(installed: Path, tmp_path: Path) -> None:
    lines = run([installed / "kinema", "models", "ts?_resnet18"], tmp_path).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["tsm_resnet18", "tsn_resnet18"]


def test_every_public_name_and_module_imports(installed: Path, tmp_path: Path) -> None:
    code = """
import importlib, pkgutil, kinema
for name in kinema.__all__:
    getattr(kinema, name)
count = 0
for module in pkgutil.walk_packages(kinema.__path__, "kinema."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
        count += 1
print(count)
"""
    assert int(run([installed / "python", "-c", code], tmp_path)) > 40


def test_no_dependency_that_cannot_be_relied_on_is_needed(installed: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "for name in ('torchvision', 'decord', 'cv2', 'sklearn', 'tensorboard'):\n"
        "    sys.modules[name] = None\n"
        "import kinema\n"
        "for name in kinema.__all__:\n"
        "    getattr(kinema, name)\n"
        "print('fine')\n"
    )
    assert run([installed / "python", "-c", code], tmp_path) == "fine\n"
