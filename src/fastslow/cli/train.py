"""`fastslow train`: trains a model and leaves a run folder behind."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import cyclopts

from fastslow.cli.options import flags_of, resolve
from fastslow.studies.fewshot_config import FewShotConfig

if TYPE_CHECKING:
    Flags = Any
else:
    Flags = flags_of(FewShotConfig)

NO_FLAGS = Flags()
app = cyclopts.App(name="train", help="Train a model.")


@app.command
def fewshot(
    *,
    config: Path | None = None,
    resume: bool = False,
    runs: Path = Path("runs"),
    flags: Annotated[Flags, cyclopts.Parameter(name="*")] = NO_FLAGS,
) -> None:
    """Train a few-shot classifier and measure it on the test classes.

    Args:
        config: YAML file of options, named as the flags with underscores; flags go before it.
        resume: go on from the checkpoint of the run folder.
        runs: where run folders are.
        flags: the options.
    """
    from rich.console import Console

    from fastslow.cli.progress import training_bar
    from fastslow.report.tables import accuracy_table
    from fastslow.studies.fewshot_run import run_fewshot
    from fastslow.training.fewshot import Interrupted

    options = resolve(FewShotConfig, config, flags)
    console = Console(stderr=True)
    try:
        with training_bar(console) as show:
            result = run_fewshot(options, runs=runs, resume=resume, on_progress=show)
    except Interrupted:
        console.print(f"stopped; the checkpoint is in {runs / options.run_name()}: go on with --resume")
        sys.exit(130)
    if result is not None:
        Console().print(accuracy_table(result))
        console.print(f"left behind: {runs / options.run_name()}")
