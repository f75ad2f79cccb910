"""Trainings killed at random moments leave whole files behind and end bit for bit as if nothing had been."""

from __future__ import annotations

import os
import shutil

import pytest

from fastslow.training.run import Run
from robustness import kills, stream_saves

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="processes to kill are forked"),
    pytest.mark.no_cover,  # what it runs, others run
]
QUICK = 20


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    with kills.nursery(tmp_path_factory.mktemp("nursery")) as made:
        yield made


def test_killed_trainings_leave_whole_files_and_end_as_one_left_alone(processes, tmp_path):
    found = kills.kill_trainings(processes, tmp_path, QUICK)
    assert found.faults == []
    assert found.kills == QUICK
    assert found.resumed >= QUICK / 3
    assert found.runs >= 1


def test_killed_learners_leave_all_that_was_saved(processes, tmp_path):
    found = stream_saves.kill_saves(processes, tmp_path / "saves", QUICK)
    assert found.faults == []
    assert found.kills == QUICK


def test_the_harness_finds_what_a_kill_could_have_broken(processes, tmp_path):
    whole = kills.left_alone(processes, tmp_path / "whole")
    run = shutil.copytree(whole.run, tmp_path / "run")
    assert list(kills.faults(run, whole, (2, 0))) == []
    assert "went back" in next(kills.faults(run, whole, (9, 0)))
    (run / "half").touch()
    assert next(kills.faults(run, whole, None)) == "there is ['half']"
    (run / "half").unlink()
    with Run(run, resume=True) as again:
        state = Run.load_checkpoint(run)
        state["model"] = {name: value + 1 for name, value in state["model"].items()}
        again.save_checkpoint(state)
    assert "model at (3, 0) is not that of a run left alone" in next(kills.faults(run, whole, None))
    content = (run / "checkpoint.pt").read_bytes()
    (run / "checkpoint.pt").write_bytes(content[: len(content) // 2])
    assert "checkpoint.pt is corrupt" in next(kills.faults(run, whole, None))
