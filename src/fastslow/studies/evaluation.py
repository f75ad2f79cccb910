"""A trained model measured on data of its own or others: `fastslow evaluate`."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Any

from fastslow.data.preparation import Ink
from fastslow.data.registry import load_source
from fastslow.methods.files import load_model
from fastslow.protocol.cells import ADDED, evaluation_cell
from fastslow.protocol.fewshot import QUERIES_PER_CLASS, OnProgress, evaluate_model
from fastslow.protocol.provenance import peak_memory_mib, processor_name, versions
from fastslow.protocol.result import Provenance, Result
from fastslow.studies.fewshot_config import flag_words


def measure(
    model: str,
    *,
    data: str = "glyphs",
    data_dir: str | Path | None = None,
    split: str = "vinyals",
    ink: Ink = "auto",
    crop: bool = False,
    part: str = "test",
    way: int = 5,
    shot: int = 1,
    queries: int = QUERIES_PER_CLASS,
    episodes: int = 1000,
    seed: int | None = None,
    method: str | None = None,
    same_alphabet: bool = False,
    wrong_labels: float = 0.0,
    rotations: str = "none",
    on_progress: OnProgress | None = None,
) -> Result:
    """Accuracy of a model and what stands beside it, see `evaluate_model`.

    Args:
        model: "pretrained:NAME", a run folder, or a .safetensors file.
        data: see `load_source`.
        data_dir: likewise.
        split: likewise.
        ink: likewise.
        crop: likewise.
        part: see `evaluate_model`, and so for the rest.
        way: classes per episode.
        shot: support examples per class.
        queries: per class.
        episodes: how many.
        seed: of the episodes.
        method: to measure in place of the model's.
        same_alphabet: whether the classes of an episode are all of one alphabet.
        wrong_labels: share of each support set's labels that are wrong.
        rotations: one of `ROTATIONS`.
        on_progress: called as images are embedded and as episodes are done.

    Returns:
        The result.

    Raises:
        ValueError: if there is no such model or data, or they cannot give such episodes.
    """
    given = {name: value for name, value in locals().items() if name != "on_progress"}
    began = time.monotonic()
    trained = load_model(model)
    images, parts = load_source(
        data, data_dir=data_dir, split=split, image_size=trained.config.image_size, ink=ink, crop=crop
    )
    evaluation = evaluate_model(
        trained, images=images, split=parts, part=part, n_way=way, n_shot=shot, queries=queries, episodes=episodes,
        seed=seed, method=method, same_alphabet=same_alphabet, wrong_labels=wrong_labels, rotations=rotations,
        on_progress=on_progress,
    )  # fmt: skip
    training = trained.details.get("training")
    cell = evaluation_cell(
        model=model, method=method or trained.config.method, data=data, task=f"{way}w{shot}s",
        protocol=evaluation.facts, preparation={"ink": ink, "crop": crop},
        seed=int(training.get("seed", 0)) if isinstance(training, dict) else 0,
    )  # fmt: skip
    provenance = Provenance(
        command=_command(given), versions=versions(), processor=processor_name(),
        seconds=round(time.monotonic() - began, 2), peak_memory_mib=peak_memory_mib(), protocol=evaluation.facts,
    )  # fmt: skip
    return Result(cell, evaluation.numbers, provenance)


def _command(given: dict[str, Any]) -> str:
    """The command that measures this again; what was not given is left out."""
    usual = {"queries": QUERIES_PER_CLASS, **ADDED}
    words = []
    for name, value in given.items():
        if value is not None and not (name in usual and value == usual[name]):
            flag = f"--{name.replace('_', '-')}"
            words += [flag] if value is True else flag_words(flag, str(value))
    return shlex.join(["fastslow", "evaluate", *words])
