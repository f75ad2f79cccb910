"""`fastslow evaluate`: measures a trained model under the fixed protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def evaluate(
    *,
    model: str,
    method: str | None = None,
    data: str = "glyphs",
    data_dir: Path | None = None,
    split: str = "vinyals",
    ink: Literal["auto", "bright", "dark", "as_is"] = "auto",
    crop: bool = False,
    part: Literal["test", "validation", "train", "all"] = "test",
    way: int = 5,
    shot: int = 1,
    queries: int | None = None,
    episodes: int = 1000,
    seed: int | None = None,
    same_alphabet: bool = False,
    wrong_labels: float = 0.0,
    rotations: Literal["none", "classes", "episode"] = "none",
    json: Path | None = None,
) -> None:
    """Measure a model on episodes of held-out classes, beside its fast path off and prototypes on its encoder.

    Args:
        model: pretrained:NAME, a run folder, or a .safetensors file.
        method: a method to measure on the model's encoder in place of the one it was trained for.
        data: a name of images that `fastslow data list` shows, or a folder with one sub-folder per class; where a
            folder has such a name, ./digits.
        data_dir: where downloaded data lie; FASTSLOW_DATA or the cache folder if not given.
        split: split of Omniglot: vinyals or lake.
        ink: of a folder's images: bright or dark; auto finds out; as_is for photographs, which are left as they are.
        crop: cut a folder's images to their ink, for drawings that are small on their page.
        part: classes to measure on; all, for a small folder whose classes the model has never seen.
        way: classes per episode.
        shot: support examples per class.
        queries: queries per class; the protocol's 15 if not given.
        episodes: how many.
        seed: seed of the episodes; the protocol's own if not given.
        same_alphabet: draw the classes of each episode from one alphabet of Omniglot, which are harder to tell apart.
        wrong_labels: share of the labels of each support set that are wrong, such as 0.2; halves of a label count.
        rotations: measure on classes that are turned as well, as some published figures are: each in four rotations
            (classes), or by an angle drawn for each episode (episode); either is easier than all upright (none).
        json: file to write the result to.
    """
    from rich.progress import Progress

    from fastslow.cli.console import console
    from fastslow.cli.outputs import refuse_output

    refuse_output("--json", json, ".json", others={"the model": model})

    from fastslow.protocol.result import write_result
    from fastslow.report.tables import accuracy_table
    from fastslow.studies.evaluation import measure

    given = {} if queries is None else {"queries": queries}
    aside = console(stderr=True)
    with Progress(console=aside, disable=not aside.is_terminal) as bar:
        tasks = {what: bar.add_task(what, total=None) for what in ("images", "episodes")}
        result = measure(
            model, data=data, data_dir=data_dir, split=split, ink=ink, crop=crop, part=part, way=way, shot=shot,
            episodes=episodes, seed=seed, method=method, same_alphabet=same_alphabet, wrong_labels=wrong_labels,
            rotations=rotations, **given,
            on_progress=lambda what, done, total: bar.update(tasks[what], completed=done, total=total),
        )  # fmt: skip
    console().print(accuracy_table(result))  # first: a full disk then costs the file, not the measurement
    if json is not None:
        write_result(json, result)
