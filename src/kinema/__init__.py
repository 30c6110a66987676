"""kinema: action recognition in video with efficient temporal networks.

The public names load on first use, so that `import kinema` and `kinema --help` cost nothing.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .checkpoint import load, save
    from .data import Manifest
    from .engine.config import Recipe
    from .engine.evaluate import evaluate
    from .engine.train import train
    from .inference.predictor import Predictor
    from .inference.stream import open_stream
    from .models import create_model, list_models
    from .tools.convert import convert
    from .tools.profile import profile
    from .types import InputSpec

__version__ = version("kinema")

_HOMES = {
    "InputSpec": "types",
    "Manifest": "data",
    "Predictor": "inference.predictor",
    "Recipe": "engine.config",
    "convert": "tools.convert",
    "create_model": "models",
    "evaluate": "engine.evaluate",
    "list_models": "models",
    "load": "checkpoint",
    "open_stream": "inference.stream",
    "profile": "tools.profile",
    "save": "checkpoint",
    "train": "engine.train",
}

__all__ = [
    "InputSpec",
    "Manifest",
    "Predictor",
    "Recipe",
    "convert",
    "create_model",
    "evaluate",
    "list_models",
    "load",
    "open_stream",
    "profile",
    "save",
    "train",
]


def __getattr__(name: str) -> object:
    """Imports the module a public name lives in."""
    if name not in _HOMES:
        raise AttributeError(f"module 'kinema' has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    """The public names."""
    return [*__all__, "__version__"]
