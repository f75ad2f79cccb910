from __future__ import annotations

import io

import pytest
from rich.console import Console

from fastslow.cli import progress
from fastslow.training.loop import Progress


@pytest.fixture
def clock(monkeypatch):
    """Seconds that the test sets; a line is shown at each step."""
    seconds = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: seconds[0])
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    return seconds


def at(done):
    return Progress("encoder", 7, done, 1.0, 0.5, None)


@pytest.mark.parametrize("start", [0.0, 0.6])
def test_the_time_left_is_by_the_speed_since_a_run_was_begun_or_gone_on_with(clock, start):
    shown = io.StringIO()
    with progress.training_bar(Console(file=shown)) as show:
        for seconds in (0, 10, 20):
            clock[0] = 1000.0 + seconds
            show(at(start + seconds / 200))
    assert f"{(0.9 - start) * 200:.0f} s left" in shown.getvalue().splitlines()[-1]
