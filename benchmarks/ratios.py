"""Ratios between forms of the same work, interleaved in one process: `python benchmarks/ratios.py NAME --json FILE`.

A benchmark is a function here with a line in `BENCHMARKS`; it returns its rows, and notes for the file.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable
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
            bound, gain = against(times, forms.QUICK, forms.BOUND), against(times, forms.LOOP, forms.QUICK)
            row: dict[str, Any] = {"slots": num_slots, "T": num_steps}
            row |= {f"{form} ms": times[form].median_ms for form in forms.FORMS}
            row |= {"quick / LSTM": bound["median"], "by min": bound["min"]}
            row |= {"loop / quick": gain["median"], "by min ": gain["min"]}
            row |= {f"{form} MiB": peak_memory(forms.make, form, num_slots, num_steps) for form in forms.FORMS}
            rows.append(row)
    sizes = {"batch": forms.BATCH, "width": forms.WIDTH}
    return rows, {"what": "forward and backward, float32; MiB: rise of peak memory in a first run", "sizes": sizes}


def learning(options: argparse.Namespace) -> tuple[Rows, dict[str, Any]]:
    """Learning one task at batch 1, against the encoder's own forward pass and MAML's five steps."""
    import learning as forms

    rows = []
    for n_way in (5, 20):
        times = interleaved({form: forms.make(form, n_way) for form in forms.FORMS}, rounds=10 * options.rounds)
        ratios = {
            "fastslow / encoder": against(times, forms.LEARN, forms.ENCODER),
            "MAML / fastslow": against(times, forms.MAML, forms.LEARN),
            "with queries, MAML / fastslow": against(times, forms.MAML_CLASSIFY, forms.CLASSIFY),
        }
        row: dict[str, Any] = {"ways": n_way} | {f"{form} ms": times[form].median_ms for form in forms.FORMS}
        row |= {name: ratio["median"] for name, ratio in ratios.items()}
        row |= {f"{name}, by min": ratio["min"] for name, ratio in ratios.items()}
        row |= {f"{form} MiB": peak_memory(forms.make, form, n_way) for form in forms.FORMS}
        rows.append(row)
    return rows, {"what": "1-shot support set in, state out; queries: 15 a class. MiB: rise of peak memory, first run"}


def training(options: argparse.Namespace) -> tuple[Rows, dict[str, Any]]:
    """Episodes a second of meta-training end to end, against the encoder's forward and backward alone."""
    import training as forms

    rows = []
    for n_way, tasks in forms.TASKS.items():
        times = interleaved({form: forms.make(form, n_way) for form in forms.FORMS}, rounds=options.rounds)
        row: dict[str, Any] = {"ways": n_way, "tasks a step": tasks}
        row |= {f"{form}, episodes/s": 1e3 * tasks / times[form].median_ms for form in forms.FORMS}
        share = against(times, forms.BARE, forms.FULL)
        row |= {"share of encoder time": share["median"], "by min": share["min"]}
        row |= {f"{form} MiB": peak_memory(forms.make, form, n_way) for form in forms.FORMS}
        rows.append(row)
    return rows, {"what": "forward and backward, 1-shot, one query a class. MiB: rise of peak memory in a first run"}


BENCHMARKS: dict[str, Callable[[argparse.Namespace], tuple[Rows, dict[str, Any]]]] = {
    "layer": layer, "learning": learning, "training": training,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="name", required=True)
    for name, benchmark in BENCHMARKS.items():
        command = commands.add_parser(name, help=benchmark.__doc__)
        command.add_argument("--json", type=Path, help="write the rows here as well")
        command.add_argument("--rounds", type=int, default=20, help="interleaved runs of each form")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows, notes = BENCHMARKS[options.name](options)
    print(table(rows))
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
