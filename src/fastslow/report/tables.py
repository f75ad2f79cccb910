"""Tables that people read, from the results that programs write."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich.table import Table

from fastslow.errors import InputError

#: What the rows of a result are called.
ROW_NAMES = {
    "fastslow": "fast path on",
    "fast_path_off": "fast path off",
    "protonet": "prototypes, same encoder",
    "nmn": "plain memory network, fine-tuned",
}


def accuracy_table(result: dict[str, Any]) -> Table:
    """Accuracies of one result, the model's own first."""
    table = Table(title=f"{result['n_way']}-way {result['n_shot']}-shot, {result['data']} {result['part']} classes")
    table.add_column("")
    table.add_column("accuracy", justify="right")
    rows = {result["method"]: result, **result["beside"]}
    for name, row in rows.items():
        table.add_row(
            ROW_NAMES.get(name, name), f"{100 * row['accuracy_mean']:.2f} ± {100 * row['accuracy_ci95']:.2f} %"
        )
    return table


def read_results(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Results from JSON files.

    Raises:
        ValueError: if a file is missing or holds no result; the message names it.
    """
    results = []
    for path in paths:
        try:
            result = json.loads(path.read_text())
            float(result["accuracy_mean"]), float(result["accuracy_ci95"]), result["method"], dict(result["beside"])
            if "training_seed" in result:
                _length(result), float(result["training_seconds"]), result["preset"], result["control"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} holds no result of a training run ({error!r})") from error
        results.append(result)
    return results


def seed_table(results: Sequence[dict[str, Any]]) -> str:
    """A Markdown table of training runs: one row a configuration, mean and spread over training seeds."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for result in results:
        if "training_seed" in result:
            task = f"{result['data']} {result['n_way']}-way {result['n_shot']}-shot"
            if result["part"] != "test":
                task += f", {result['part']} classes"
            groups[task, result["method"], result["preset"], result["control"], _length(result)].append(result)
    columns = (
        "task", "method", "preset", "control", "length", "accuracy, mean of seeds",
        "each seed (95 % interval over episodes)", "prototypes, same encoder", "minutes",
    )  # fmt: skip
    lines = [f"| {' | '.join(columns)} |", f"| {' | '.join('---' for _ in columns)} |"]
    for key, group in sorted(groups.items(), key=lambda item: [_by_number(part) for part in item[0]]):
        task, method, preset, control, length = key
        runs = sorted(group, key=lambda run: run["training_seed"])
        each = ", ".join(f"{100 * run['accuracy_mean']:.2f} ± {100 * run['accuracy_ci95']:.2f}" for run in runs)
        prototypes = [run["beside"]["protonet"]["accuracy_mean"] for run in runs if "protonet" in run["beside"]]
        cells = [
            task, method, preset, control, length, _percent([run["accuracy_mean"] for run in runs]), each,
            _percent(prototypes) if prototypes else "-",
            f"{mean(run['training_seconds'] for run in runs) / 60:.0f}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _by_number(text: str) -> str:
    """A text to sort by, in which 600 comes before 6000 and 5-way before 20-way."""
    return re.sub(r"\d+", lambda number: number[0].zfill(12), text)


def _length(result: dict[str, Any]) -> str:
    """How long and from what a run trained, so that only runs of the same length make one row."""
    options = result["options"]
    length = f"{options['steps']} steps" if options["minutes"] is None else f"{options['minutes']:g} min"
    if options["encoder"] is not None:
        length += " on a trained encoder"
    return f"{length}, Eq. 11 at {options['fit_weight']:g}" if options.get("fit_weight") else length


def _percent(accuracies: Sequence[float]) -> str:
    """Mean, and standard error over seeds where there are several."""
    text = f"{100 * mean(accuracies):.2f}"
    if len(accuracies) > 1:
        text += f" ± {100 * stdev(accuracies) / math.sqrt(len(accuracies)):.2f}"
    return f"{text} ({len(accuracies)})"
