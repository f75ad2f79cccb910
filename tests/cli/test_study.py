"""`fastslow study lines`: commands that schedulers run in any order, any number of times."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest

from commands import fails
from fastslow.cli import main
from fastslow.studies import STUDIES

pytestmark = pytest.mark.usefixtures("study")


def lines(capsys, *arguments):
    main(["study", "lines", "fake", *arguments])
    return capsys.readouterr().out.splitlines()


def run_here(line):
    """What a shell would run, without the process of its own that the fake study cannot be handed to."""
    words = shlex.split(line)
    at = words.index("--engine")
    assert words[at : at + 4] == ["--engine", "local", "--workers", "1"]
    main([*words[1:at], *words[at + 4 :]])


def test_each_line_runs_its_cell_and_no_other_whatever_has_been_run(study, tmp_path, capsys):
    first = lines(capsys, "--budget", "cpu", "--results", "my results")
    for line in reversed(first):
        run_here(line)
    keys = [cell.key for cell in study.cells("cpu")]
    assert study.log.read_text(encoding="utf-8").split() == keys[::-1]
    capsys.readouterr()
    run_here(first[2])
    assert study.log.read_text(encoding="utf-8").split() == keys[::-1]
    said = capsys.readouterr().out
    assert [key in said for key in keys] == [False, False, True, False, False, False]
    assert lines(capsys, "--budget", "cpu", "--results", "my results") == []
    assert len(list((tmp_path / "my results").glob("*.json"))) == 6


def test_there_is_a_line_for_each_missing_cell_that_is_wanted(study, capsys):
    keys = [cell.key for cell in study.cells("cpu")]
    main(["reproduce", "fake", "--budget", "cpu", "--cell", keys[2]])
    capsys.readouterr()
    assert [line.split()[-1] for line in lines(capsys, "--budget", "cpu")] == keys[:2] + keys[3:]
    assert [line.split()[-1] for line in lines(capsys, "--budget", "cpu", "--seeds", "1")] == [keys[0], keys[4]]
    assert all(" --data digits " in line for line in lines(capsys, "--data", "digits"))
    assert "got methods=['magic']" in fails(capsys, "study", "lines", "fake", "--methods", "magic")


def test_a_shell_runs_a_line_as_it_stands(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HARD_STUDY_TRACES", str(tmp_path))
    monkeypatch.setitem(STUDIES, "hard", "studies.hard_study:STUDY")
    main(["study", "lines", "hard", "--results", "in it"])
    line = capsys.readouterr().out.splitlines()[2]
    code = (
        "from fastslow.cli import main\nfrom fastslow.studies import STUDIES\nif __name__ == '__main__':\n"
        "    STUDIES['hard'] = 'studies.hard_study:STUDY'\n    main()\n"
    )
    (tmp_path / "program.py").write_text(code, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "2"}
    command = line.replace("fastslow", f"{shlex.quote(sys.executable)} program.py", 1)
    done = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert "| plain | 1 |" in done.stdout
    assert [path.suffix for path in (tmp_path / "in it").iterdir() if path.is_file()] == [".json"]
    assert done.stderr.splitlines()[-1] == "1 of 1 done"
