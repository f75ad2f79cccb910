"""`fastslow train`: trains a model and leaves a run folder behind."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import cyclopts

from fastslow.cli.options import flags_of, given_options
from fastslow.cli.train_forecaster import forecaster
from fastslow.studies.fewshot_config import FewShotConfig, flag_words

if TYPE_CHECKING:
    Flags = dict[str, Any]
else:
    Flags = flags_of(FewShotConfig)

_RUNS = Path("runs")

app = cyclopts.App(name="train", help="Train a model.")
app.command(forecaster)


@app.command
def fewshot(
    *,
    config: Path | None = None,
    resume: bool = False,
    runs: Path = _RUNS,
    flags: Annotated[Flags | None, cyclopts.Parameter(name="*")] = None,
) -> None:
    """Train a few-shot classifier and measure it on the test classes.

    Args:
        config: YAML file of options, named as the flags with underscores; flags go before it.
        resume: go on from the checkpoint of the run folder; --name alone says which, and the run keeps its options.
        runs: where run folders are.
        flags: the options.
    """
    from fastslow.cli.console import console
    from fastslow.cli.progress import training_bar
    from fastslow.files import refuse_unwritable_folder
    from fastslow.methods.config import ModelConfig
    from fastslow.report.tables import accuracy_table
    from fastslow.studies.fewshot import run_fewshot, run_folder
    from fastslow.training.interruption import Interrupted

    options = given_options(config, flags, model=ModelConfig)
    folder = run_folder(options, runs)
    refuse_unwritable_folder(folder, "config.json")
    aside = console(stderr=True)
    try:
        with training_bar(aside) as show:
            result = run_fewshot(options, runs=runs, resume=resume, on_progress=show, say=aside.print)
    except Interrupted:
        words = ["--resume", *flag_words("--name", folder.name)]
        words += flag_words("--runs", str(runs)) if runs != _RUNS else []
        print(f"stopped; the checkpoint is in {folder}: go on with {shlex.join(words)}", file=sys.stderr)
        sys.exit(130)
    if result is not None:
        console().print(accuracy_table(result))
        print(f"left behind: {folder}", file=sys.stderr)
