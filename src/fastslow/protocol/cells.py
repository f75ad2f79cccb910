"""What tells one few-shot run from another: the cell of its options, for files, folders and tables."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import PurePath, PurePosixPath
from typing import Any

from fastslow.errors import InputError
from fastslow.protocol.result import Cell

#: Options that change where and how a run is done, and none of its numbers.
BOOKKEEPING = ("name", "runs", "data_dir", "device", "checkpoint_seconds")
#: Options that runs once had, with the value that they are a part of the code with now.
RETIRED: dict[str, Any] = {
    "pair_classes": 64, "cached_tasks": 32, "split_support": 0.25, "learning_rates": [2e-3, 1e-3, 3e-5],
    "weight_decay": 1e-4, "warmup": 50, "clip": 1.0, "augment": True, "finetune_steps": 50, "finetune_rate": 0.5,
}  # fmt: skip
#: Those of them that one method alone ever read.
READ_BY = {"finetune_steps": "nmn", "finetune_rate": "nmn"}
#: Queries per class that evaluations had before others could be asked for.
_USUAL_QUERIES = 15
#: Hex digits that tell folders of one name apart.
_DIGITS = 8
#: Options added later, with what runs did before.
LATER: dict[str, Any] = {"fit_weight": 0.0, "test": True, "precision": "float32"}
#: Options added after results had been named: at these values, what was done before, they stay out of a cell.
ADDED: dict[str, Any] = {
    "ink": "auto", "crop": False, "mirrors": False, "encoder_rate": 2e-3, "cached_images": 2**17,
    "same_alphabet": False, "wrong_labels": 0.0, "rotations": "none", "teacher": None,
}  # fmt: skip
#: Those of them that make the episodes of an evaluation other ones.
HARDER = ("same_alphabet", "wrong_labels", "rotations")


def fewshot_cell(options: Mapping[str, Any]) -> Cell:
    """The cell of a few-shot training run.

    Its options are all of the run's but the seed and bookkeeping, with these in place of others: `task` ("5w1s") of way
    and shot, `length` ("1000steps", "20min") of steps and minutes, `part` ("test", "validation") of test, and `encoder`
    as `without_seed` writes it; `folder`, a checksum of its place, where the data are a folder of one's own.

    Args:
        options: of the run, as in `config.json`: at least data, method, seed, way, shot, and steps or minutes.

    Raises:
        ValueError: if one of those is missing, or a value is none that JSON can hold.
    """
    plain = LATER | json.loads(json.dumps(dict(options), default=str))
    try:
        data, method, seed, way, shot = (plain.pop(name) for name in ("data", "method", "seed", "way", "shot"))
        steps, minutes = plain.pop("steps", None), plain.pop("minutes", None)
        length = f"{steps}steps" if minutes is None else f"{float(minutes):.12g}min"
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"got options without a few-shot run's data, method, seed, way, shot or length: {error}"
        ) from error
    retired = {n for n, v in RETIRED.items() if plain.get(n) == v or READ_BY.get(n, method) != method}
    retired |= {name for name, value in ADDED.items() if plain.get(name) == value}
    kept = {name: value for name, value in plain.items() if name not in (*BOOKKEEPING, *retired)}
    kept |= {"task": f"{way}w{shot}s", "length": length, "part": "test" if kept.pop("test", True) else "validation"}
    kept["encoder"] = without_seed(kept.get("encoder"), seed)
    if "teacher" in kept:
        kept["teacher"] = without_seed(kept["teacher"], seed)
    kept["model"] = underscored(kept.get("model") or {})
    if is_folder_name(data):
        kept["folder"] = hashlib.sha256(os.path.abspath(data).encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
    return Cell("fewshot", method, PurePath(data).name or data, kept, seed)


def evaluation_cell(
    *, model: str, method: str, data: str, task: str, protocol: Mapping[str, Any], seed: int,
    preparation: Mapping[str, Any] = ADDED,
) -> Cell:  # fmt: skip
    """The cell of a trained model measured on data of its own or others.

    Args:
        model: "pretrained:NAME", a run folder or a file; recorded as `without_seed` writes it.
        method: that it was trained for.
        data: that it was measured on, as in `load_source`.
        task: such as "5w1s".
        protocol: of the measurement; part, split, episodes, their seed, their queries and what makes them other ones
            can all change the numbers, and so can the classes of a folder of one's own, known by the checksum of its
            split.
        seed: of the model's training.
        preparation: of the images, ink and crop.
    """
    chosen = {"part": protocol["part"], "split": protocol["split"], "episodes": protocol["episodes"]}
    options = {"model": without_seed(model, seed), "task": task, **chosen, "episode_seed": protocol["seed"]}
    options |= {name: value for name, value in preparation.items() if value != ADDED[name]}
    options |= {name: protocol[name] for name in HARDER if protocol.get(name, ADDED[name]) != ADDED[name]}
    if (queries := protocol.get("queries_per_class", _USUAL_QUERIES)) != _USUAL_QUERIES:
        options["queries"] = queries
    if is_folder_name(data):
        options["folder"] = str(protocol.get("split_sha256", ""))[:_DIGITS]
    return Cell("evaluate", method, PurePath(data).name or data, options, seed)


def is_folder_name(data: str) -> bool:
    """Whether data are a folder of one's own, not a data set that has a name here."""
    from fastslow.data.registry import DATA  # here, so that options can be read without waiting for torch

    return data not in DATA


def underscored(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A model's fields by their names with underscores, however they were written."""
    return {name.replace("-", "_"): value for name, value in fields.items()}


def without_seed(path: str | None, seed: int) -> str | None:
    """A model as a row of a table names it, that is, alike for all seeds that start from models of their own.

    "runs/NAME-seed1" in a run of seed 1 is "NAME"; the model of another seed, or in another folder than `runs`, keeps
    what tells it apart, and "pretrained:NAME" stays as it is.
    """
    if path is None or path.startswith("pretrained:"):
        return path
    pure = PurePosixPath(path.replace("\\", "/"))
    name = re.sub(f"-seed{seed}$", "", pure.name)
    return name if str(pure.parent) in ("runs", ".") else str(pure.parent / name)
