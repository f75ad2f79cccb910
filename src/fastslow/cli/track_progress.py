"""A bar of samples, on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

#: Samples between two looks at the bar.
_EVERY = 500


@contextmanager
def track_bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """Shows how many samples of a recording have been played, and the time left."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}", markup=False), BarColumn(None), TextColumn("{task.percentage:3.0f} %"),
        TextColumn("left"), TimeRemainingColumn(), console=console, disable=not console.is_terminal, transient=True,
    )  # fmt: skip
    task = bar.add_task(name, total=None)

    def show(done: int, total: int) -> None:
        if done % _EVERY == 0 or done == total:
            bar.update(task, completed=done, total=total)

    with bar:
        yield show
