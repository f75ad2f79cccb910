"""Ratios between forms of the same work, interleaved in one process: `python benchmarks/ratios.py NAME --json FILE`.

A benchmark is a function here with a line in `BENCHMARKS`; it returns its rows, and notes for the file.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from timing import against, interleaved, peak_memory, table, write_json

Rows = list[dict[str, Any]]


def layer(options: argparse.Namespace) -> tuple[Rows, dict[str, Any]]:
    """The memory layer over whole sequences, against three stacked nn.LSTM and against the plain loop."""
    import layer as forms

    rows = []
    for num_slots in forms.NUM_SLOTS:
        for num_steps in forms.LENGTHS:
            steps = {form: forms.make(form, num_slots, num_steps) for form in forms.FORMS}
            times = interleaved(steps, rounds=options.rounds)
            ratios = {
                "literal quick / LSTM": against(times, forms.QUICK, forms.BOUND),
                "literal loop / quick": against(times, forms.LOOP, forms.QUICK),
                "default loop / LSTM": against(times, forms.DEFAULT, forms.BOUND),
            }
            row: dict[str, Any] = {"slots": num_slots, "T": num_steps}
            row |= {f"{form} ms": times[form].median_ms for form in forms.FORMS} | both(ratios)
            row |= {f"{form} MiB": peak_memory(forms.make, form, num_slots, num_steps) for form in forms.FORMS}
            rows.append(row)
    what = (
        "forward and backward, float32; literal and default: the memories of these presets, the default's without a "
        "quick form; MiB: rise of peak memory in a first run"
    )
    return rows, {"what": what, "sizes": {"batch": forms.BATCH, "width": forms.WIDTH}}


def learning(options: argparse.Namespace) -> tuple[Rows, dict[str, Any]]:
    """Learning one task at batch 1, against the encoder's own forward pass, prototypes, ANIL and MAML."""
    import learning as forms

    rows = []
    for n_way in (5, 20):
        times = interleaved({form: forms.make(form, n_way) for form in forms.FORMS}, rounds=options.rounds)
        ratios = {f"fastslow / {form}": against(times, forms.OURS, form) for form in (forms.ENCODER, forms.PACKED)}
        for name in forms.LEARNERS[1:]:
            ratios[f"{name} / fastslow"] = against(times, name, forms.OURS)
            ratios[f"{name} / fastslow, + queries"] = against(times, forms.ANSWERS[name], forms.ANSWERS[forms.OURS])
        row: dict[str, Any] = {"ways": n_way} | {f"{form} ms": times[form].median_ms for form in forms.FORMS}
        row |= both(ratios) | {f"{form} MiB": peak_memory(forms.make, form, n_way) for form in forms.FORMS}
        rows.append(row)
    what = (
        "1-shot support set of images in, learned; fastslow through FewShotClassifier, the others as functions; "
        "queries: 15 per class. MiB: rise of peak memory, first run"
    )
    return rows, {"what": what}


def training(options: argparse.Namespace) -> tuple[Rows, dict[str, Any]]:
    """Episodes a second of meta-training end to end, against the encoder's forward and backward alone."""
    import training as forms

    rows = []
    for n_way, tasks in forms.TASKS.items():
        times = interleaved({form: forms.make(form, n_way) for form in forms.FORMS}, rounds=options.rounds)
        row: dict[str, Any] = {"ways": n_way, "tasks a step": tasks}
        row |= {f"{form}, episodes/s": 1e3 * tasks / times[form].median_ms for form in forms.FORMS}
        row |= both({"share of encoder time": against(times, forms.BARE, forms.FULL)})
        row |= {f"{form} MiB": peak_memory(forms.make, form, n_way) for form in forms.FORMS}
        rows.append(row)
    what = (
        "1-shot, one query per class. fastslow: drawing tasks, forward, backward, clipping, optimiser; encoder alone: "
        "forward and backward. MiB: rise of peak memory in a first run"
    )
    return rows, {"what": what}


def stream(options: argparse.Namespace) -> tuple[Rows, dict[str, Any]]:
    """The stream learner: one example learned and one answered against the encoder's pass; and a million vectors."""
    import stream as forms

    rows: Rows = []
    for num_classes in (5, 1000):
        times = interleaved({form: forms.make(form, num_classes) for form in forms.FORMS}, rounds=options.rounds)
        row: dict[str, Any] = {"classes": num_classes} | {f"{form} ms": times[form].median_ms for form in forms.FORMS}
        beside = {
            f"{form} / {encoder}": against(times, form, encoder)
            for encoder in (forms.ENCODER, forms.PACKED)
            for form in (forms.LEARN, forms.ANSWER)
        }
        rows.append(row | both(beside))
    what = (
        "batch 1, drawings in; long: vectors in batches of 100, classes by a power law, max_examples 10,000; accuracy "
        "on three new examples of each class seen so far"
    )
    return rows, {"what": what, "long": forms.million(10 * options.every, options.every)}


def both(ratios: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Columns of a row: the medians, then the ratios of minimums."""
    medians = {name: ratio["median"] for name, ratio in ratios.items()}
    return medians | {f"{name}, by min": ratio["min"] for name, ratio in ratios.items()}


BENCHMARKS: dict[str, Callable[[argparse.Namespace], tuple[Rows, dict[str, Any]]]] = {
    "layer": layer, "learning": learning, "stream": stream, "training": training,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="name", required=True)
    for name, benchmark in BENCHMARKS.items():
        command = commands.add_parser(name, help=benchmark.__doc__)
        command.add_argument("--json", type=Path, help="write the rows here as well")
        command.add_argument("--rounds", type=int, default=20, help="interleaved runs of each form")
        if name == "stream":
            command.add_argument("--every", type=int, default=100_000, help="a tenth of the vectors of the long stream")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows, notes = BENCHMARKS[options.name](options)
    print(table(rows))
    if "long" in notes:
        print(table(notes["long"]))
    if options.json:
        words = [
            "python",
            "benchmarks/ratios.py",
            options.name,
            "--json",
            str(options.json),
            "--rounds",
            str(options.rounds),
        ]
        write_json(options.json, shlex.join(words), rows, rounds=options.rounds, **notes)


if __name__ == "__main__":
    main()
