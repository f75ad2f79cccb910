"""`fastslow evaluate`: measures a trained model under the fixed protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def evaluate(
    *,
    model: str,
    data: str = "glyphs",
    data_dir: Path | None = None,
    split: str = "vinyals",
    part: Literal["test", "validation"] = "test",
    way: int = 5,
    shot: int = 1,
    episodes: int = 1000,
    seed: int | None = None,
    json: Path | None = None,
) -> None:
    """Measure a model on episodes of held-out classes, beside its fast path off and prototypes on its encoder.

    Args:
        model: pretrained:NAME, a run folder, or a .safetensors file.
        data: glyphs, omniglot, or a folder with one sub-folder a class.
        data_dir: where Omniglot lies; FASTSLOW_DATA or the cache folder if not given.
        split: split of Omniglot: vinyals or lake.
        part: classes to measure on.
        way: classes an episode.
        shot: support examples a class.
        episodes: how many.
        seed: seed of the episodes; the protocol's own if not given.
        json: file to write the result to.
    """
    from rich.console import Console
    from rich.progress import Progress

    from fastslow.files import refuse_unwritable, write_json
    from fastslow.methods.files import load_model
    from fastslow.report.tables import accuracy_table
    from fastslow.studies.fewshot_run import evaluate_model

    if json is not None:
        refuse_unwritable(json)
    trained = load_model(model)
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("episodes", total=episodes)
        result = evaluate_model(
            trained, data=data, data_dir=data_dir, split=split, part=part, n_way=way, n_shot=shot, episodes=episodes,
            seed=seed, on_progress=lambda done: bar.update(task, completed=done),
        )  # fmt: skip
    result = {"model": model, **result}
    if json is not None:
        write_json(json, result)
    Console().print(accuracy_table(result))
