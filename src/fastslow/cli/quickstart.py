"""`fastslow quickstart`: from nothing to a trained few-shot learner and a report, in a few minutes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import cyclopts

NEXT_STEPS = """what next:
  # the same model, five drawings per class
  fastslow evaluate --model {run} --shot 5
  # real handwriting
  fastslow data fetch omniglot
  fastslow train fewshot --data omniglot --way 5 --minutes 30"""


def quickstart(
    *,
    minutes: float = 3.5,
    out: Path = Path("quickstart"),
    seed: int = 0,
    resume: bool = False,
    steps: Annotated[int | None, cyclopts.Parameter(show=False)] = None,
) -> None:
    """Train a 5-way 1-shot learner on made-up characters, measure it on new ones, and write a report.

    Needs no data and no GPU. A finished quickstart in the same folder is replaced.

    Args:
        minutes: length of training; measuring takes about a minute more.
        out: folder of the run and of the report.
        seed: seed of weights and training episodes.
        resume: go on with an interrupted quickstart.
        steps: length of training in steps, in place of minutes.
    """
    from fastslow.files import refuse_unwritable_folder
    from fastslow.studies.quickstart import quickstart_config

    config = quickstart_config(minutes=minutes, steps=steps, seed=seed)
    folder = out / config.run_name()
    refuse_unwritable_folder(folder, "config.json")
    refuse_unwritable_folder(out, "report.html")

    from fastslow.cli.console import console
    from fastslow.cli.progress import training_bar
    from fastslow.report.tables import accuracy_table
    from fastslow.studies.quickstart import interrupted_run, run_quickstart
    from fastslow.training.interruption import Interrupted

    try:
        with training_bar(console(stderr=True)) as show:
            done = run_quickstart(config, out=out, resume=resume, on_progress=show)
    except Interrupted:
        folder = interrupted_run(config, out) or folder
        print(f"stopped; the checkpoint is in {folder}: go on with --resume", file=sys.stderr)
        sys.exit(130)
    console().print(accuracy_table(done.result))
    print(f"report: {done.report}\n\n{NEXT_STEPS.format(run=done.run)}")
