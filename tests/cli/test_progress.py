from __future__ import annotations

import io

import pytest
from rich.console import Console

from fastslow.cli import main, progress
from fastslow.training.interruption import Interrupted, Passes
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


def test_work_between_steps_is_shown_with_its_own_time_left(clock):
    shown = io.StringIO()
    with progress.training_bar(Console(file=shown)) as show:
        for done in (0, 100, 200):
            clock[0] = 1000.0 + done / 10
            show(Passes("teacher", done, 1000))
        clock[0] += 5
        show(Passes("test", 0, 50, "episodes"))
        clock[0] += 5
        show(Passes("test", 25, 50, "episodes"))
        clock[0] += 100
        show(at(0.2))
        clock[0] += 10
        show(at(0.4))
    assert [line.rstrip() for line in shown.getvalue().splitlines()] == [
        " 10 %  teacher 100 of 1000 images  90 s left",
        " 20 %  teacher 200 of 1000 images  80 s left",
        "  0 %  test 0 of 50 episodes  time left unknown",
        " 50 %  test 25 of 50 episodes  5 s left",
        " 20 %  encoder step 7  1.0 episodes/s  loss 0.500  val -  time left unknown",
        " 40 %  encoder step 7  1.0 episodes/s  loss 0.500  val -  30 s left",
    ]


def test_on_a_terminal_work_has_a_bar_while_it_goes_on_and_none_after(clock):
    shown = io.StringIO()
    with progress.training_bar(Console(file=shown, force_terminal=True, width=120)) as show:
        show(at(0.1))
        for _ in range(2):  # the same work once more begins anew
            show(Passes("teacher", 0, 1000))
            show(Passes("teacher", 500, 1000))
            assert [task.description for task in show.bar.tasks] == ["encoder", "teacher"]
            assert show.bar.tasks[1].percentage == 50
            show.bar.refresh()
            assert "500 of 1000 images" in shown.getvalue()
        show(at(0.2))
        assert [task.description for task in show.bar.tasks] == ["encoder"]


@pytest.mark.parametrize(
    ("flags", "hint"),
    [
        ([], "--resume --name a"),
        (["--runs", "runs"], "--resume --name a"),
        (["--runs", "other"], "--resume --name a --runs other"),
        (["--runs", "my runs/x"], "--resume --name a --runs 'my runs/x'"),
    ],
)
def test_a_stopped_training_says_how_to_go_on(flags, hint, capsys, tmp_path, monkeypatch):
    def stopped(*_, **__):
        raise Interrupted

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fastslow.studies.fewshot.run_fewshot", stopped)
    with pytest.raises(SystemExit) as end:
        main(["train", "fewshot", "--steps", "1", "--name", "a", *flags])
    assert end.value.code == 130
    assert capsys.readouterr().err.splitlines()[-1].endswith(f": go on with {hint}")
