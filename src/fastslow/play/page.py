"""The page of `fastslow play`: one HTML file that needs nothing else, with a model and the code that runs it inside."""

from __future__ import annotations

import base64
import dataclasses
import json
import tempfile
from pathlib import Path

from fastslow.data.glyphs.glyphs import make_glyphs
from fastslow.errors import InputError, shown
from fastslow.methods.config import ModelConfig
from fastslow.methods.files import TrainedModel, load_model
from fastslow.tensors import save_tensors

#: The model that the page has unless another is given: small, and it tells twenty classes apart.
MODEL = "pretrained:omniglot-20w1s-fast"
FOLDER = Path(__file__).parent
#: What runs a model, and the page around it; each may use those before it.
ENGINE = ("weights.js", "kernel.js", "sums.js", "network.js", "memory.js", "resize.js", "preparation.js")
PAGE = ("project.js", "pad.js", "views.js", "files.js", "challenges.js", "page.js")
STYLE = ("page.css", "parts.css", "narrow.css")
#: Made-up characters for the page's challenges: how many, drawings of each, and which.
GLYPHS, DRAWINGS, SEED = 40, 3, 2020


def joined(names: tuple[str, ...]) -> str:
    """Files of this folder as one text."""
    return "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in names)


def play_page(source: str | Path = MODEL) -> str:
    """The whole page.

    Args:
        source: the model that it has, see `load_model`.

    Raises:
        ValueError: if there is no such model, or it is none that the page can run.
    """
    parts = {
        "style": joined(STYLE),
        "model": base64.b64encode(model_bytes(load_model(source))).decode("ascii"),
        "glyphs": json.dumps(_glyphs()),
        "script": joined(ENGINE + PAGE),
    }
    page = (FOLDER / "page.html").read_text(encoding="utf-8")
    for name, content in parts.items():
        page = page.replace(f"{{{{{name}}}}}", content)
    return page


def model_bytes(model: TrainedModel) -> bytes:
    """A model as the page reads it: a safetensors file of numbers in 16 bits, without the story of its training.

    Raises:
        ValueError: if it is none that the page can run.
    """
    refuse_others(model.config)
    header = {"model": dataclasses.asdict(model.config)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save_tensors(path, model.method.state_dict(), header, half=True)
        return path.read_bytes()


def refuse_others(config: ModelConfig) -> None:
    """The one check of whether the page can run a model.

    Raises:
        ValueError: if not; the message says what is other than expected.
    """
    wanted = {"method": "fastslow", "preset": "default", "control": "none", "image_size": 28}
    wanted |= {"halving": "floor", "views": False, "write_gate": False}
    others = {name: getattr(config, name) for name, value in wanted.items() if getattr(config, name) != value}
    if others:
        listed = ", ".join(f"{name} {shown(value)} in place of {shown(wanted[name])}" for name, value in others.items())
        raise InputError(f"the page cannot run this model: got {listed}; give one such as {MODEL}")


def _glyphs() -> dict[str, object]:
    """Made-up characters, drawing after drawing in bytes."""
    images = make_glyphs(num_classes=GLYPHS, per_class=DRAWINGS, seed=SEED).images
    return {"classes": GLYPHS, "each": DRAWINGS, "pixels": base64.b64encode(images.numpy().tobytes()).decode("ascii")}
