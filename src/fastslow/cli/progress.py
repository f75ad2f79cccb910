"""Progress on long work: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from fastslow.training.loop import Progress as TrainingProgress

#: Seconds between lines where there is no terminal.
LINE_EVERY = 20.0


@contextmanager
def training_bar(console: Console) -> Iterator[Callable[[TrainingProgress], None]]:
    """Shows stage, episodes a second, loss, validation accuracy and time left."""
    bar = Progress(
        TextColumn("{task.description:8}", markup=False), BarColumn(None), TextColumn("{task.percentage:3.0f} %"),
        TextColumn("{task.fields[rate]:6.1f} episodes/s  loss {task.fields[loss]:.3f}  val {task.fields[validation]}"),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(elapsed_when_finished=False),
        console=console, disable=not console.is_terminal,
    )  # fmt: skip
    task = bar.add_task("starting", total=1.0, rate=0.0, loss=float("nan"), validation="-")
    last_line = time.monotonic()
    began: tuple[float, float] | None = None  # when, and how much was done: a run that goes on begins far along

    def show(progress: TrainingProgress) -> None:
        nonlocal last_line, began
        validation = "-" if progress.validation is None else f"{100 * progress.validation:.1f} %"
        bar.update(
            task, completed=progress.done, description=progress.stage, rate=progress.rate, loss=progress.loss,
            validation=validation,
        )  # fmt: skip
        now = time.monotonic()
        if began is None:
            began = now, progress.done
        if not console.is_terminal and now - last_line > LINE_EVERY:
            last_line = now
            left = (now - began[0]) * (1 - progress.done) / max(progress.done - began[1], 1e-6)
            console.print(
                f"{100 * progress.done:3.0f} %  {progress.stage} step {progress.step}  {progress.rate:.1f} episodes/s  "
                f"loss {progress.loss:.3f}  val {validation}  {left:.0f} s left"
            )

    with bar:
        yield show
