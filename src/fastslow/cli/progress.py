"""Progress on long work: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from fastslow.training.interruption import Passes
from fastslow.training.loop import Progress as TrainingProgress

#: Seconds between lines where there is no terminal.
LINE_EVERY = 20.0


@contextmanager
def training_bar(console: Console) -> Iterator[Callable[[TrainingProgress | Passes], None]]:
    """Shows stage, rate, loss, validation accuracy and time left; and, in a bar of its own, work between steps."""
    bar = Progress(
        TextColumn("{task.description:8}", markup=False), BarColumn(None), TextColumn("{task.percentage:3.0f} %"),
        TextColumn("{task.fields[detail]}", markup=False),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(elapsed_when_finished=False),
        console=console, disable=not console.is_terminal,
    )  # fmt: skip
    with bar:
        yield _TrainingBar(console, bar)


class _TrainingBar:
    """Shows what it is called with."""

    def __init__(self, console: Console, bar: Progress) -> None:
        self.console, self.bar = console, bar
        self.task = bar.add_task("starting", total=1.0, detail="")
        self.work: tuple[str, TaskID] | None = None
        self.last_line = time.monotonic()
        self.began: dict[str, tuple[float, float]] = {}  # when, and how much was done: a run may go on far along

    def __call__(self, progress: TrainingProgress | Passes) -> None:
        if isinstance(progress, Passes):
            self._show_work(progress)
        else:
            self._show_step(progress)

    def _show_step(self, progress: TrainingProgress) -> None:
        self._end_work()
        validation = "-" if progress.validation is None else f"{100 * progress.validation:.1f} %"
        detail = f"{progress.rate:6.1f} episodes/s  loss {progress.loss:.3f}  val {validation}"
        self.bar.update(self.task, completed=progress.done, description=progress.stage, detail=detail)
        self._line("training", progress.done, f"{progress.stage} step {progress.step}  {detail.lstrip()}")

    def _show_work(self, work: Passes) -> None:
        name, share = f"{work.what}, {work.unit}", work.done / max(work.total, 1)
        if self.work is None or self.work[0] != name or work.done == 0:
            self._end_work()
            self.work = name, self.bar.add_task(work.what, total=work.total, detail="")
        detail = f"{work.done} of {work.total} {work.unit}"
        self.bar.update(self.work[1], completed=work.done, detail=detail)
        self._line(name, share, f"{work.what} {detail}")

    def _end_work(self) -> None:
        if self.work is not None:
            name, task = self.work
            self.bar.remove_task(task)
            self.began.pop(name, None)
            self.work = None

    def _line(self, of: str, done: float, text: str) -> None:
        """A line for whoever has no terminal, if it is time for one; the time left is by the speed since it began."""
        now = time.monotonic()
        when, before = self.began.setdefault(of, (now, done))
        if not self.console.is_terminal and now - self.last_line > LINE_EVERY:
            self.last_line = now
            left = f"{(now - when) * (1 - done) / (done - before):.0f} s left" if done > before else "time left unknown"
            self.console.print(f"{100 * done:3.0f} %  {text}  {left}")
