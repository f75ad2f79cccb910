"""Cells in other processes: each once, whoever dies; what is finished stays, and a stop stops all of them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from fastslow.claims import Claim, InUseError
from fastslow.cli import main
from fastslow.errors import InputError
from fastslow.processes import is_alive
from fastslow.studies import STUDIES, load_study
from fastslow.studies.base import reproduce
from fastslow.studies.engines import load_engine
from fastslow.studies.engines.base import Here
from fastslow.studies.engines.local import LocalEngine
from fastslow.studies.engines.ray_cluster import RayEngine
from fastslow.studies.engines.slurm import SlurmEngine
from fastslow.studies.jobs import Job, work
from fastslow.studies.rounds import TRIES
from studies.fake_study import FakeStudy
from studies.hard_study import HardStudy

no_windows = pytest.mark.skipif(sys.platform == "win32", reason="signals to other processes are of Unix")


@pytest.fixture
def hard(tmp_path):
    (tmp_path / "traces").mkdir()
    return lambda *names: HardStudy(tmp_path / "traces", names)


def rows(page):
    return [tuple(row) for row in page.tables[0].rows]


@no_windows
def test_a_killed_worker_costs_no_finished_cell_and_its_own_is_run_again(hard, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    study, ends = hard("killed", "plain", "other"), []
    page = reproduce(study, results=tmp_path / "results", budget="cpu", engine=LocalEngine(2), on_end=ends.append)
    assert rows(page) == [("killed", "1"), ("plain", "1"), ("other", "1")]
    assert not page.missing
    assert not page.failed
    assert [len(study.tries(name)) for name in study.names] == [2, 1, 1]
    lost = [(end.cell.options["task"], end.reason) for end in ends if end.again]
    assert lost == [("killed", f"its process ended with code -{int(signal.SIGKILL)}")]
    assert [end.done for end in ends if not end.again] == [1, 2, 3]
    assert len({path.read_text(encoding="utf-8") for path in (tmp_path / "traces").iterdir()}) == 4
    assert not [path for path in (tmp_path / "results").rglob("*") if path.is_file() and path.suffix != ".json"]


@no_windows
def test_what_always_kills_its_worker_or_fails_is_left_out_and_the_others_are_run(hard, tmp_path):
    study = hard("always killed", "faulty", "plain")
    page = reproduce(study, results=tmp_path / "results", budget="cpu", engine=LocalEngine(2))
    assert [row[0] for row in rows(page)] == ["plain"]
    assert [len(study.tries(name)) for name in study.names] == [TRIES, 1, 1]
    killed, fault = page.failed.values()
    assert killed == f"its process ended with code -{int(signal.SIGKILL)}"
    (log,) = (tmp_path / "results" / "logs").iterdir()
    assert fault == f"RuntimeError: a fault of the method (see {log})"
    text = log.read_text(encoding="utf-8")
    assert text.startswith("about to fail\nTraceback")
    assert 'raise RuntimeError("a fault of the method")' in text


COMMAND = """
from fastslow.cli import main
from fastslow.studies import STUDIES
if __name__ == "__main__":
    STUDIES["hard"] = "studies.hard_study:STUDY"
    main(["reproduce", "hard", "--engine", "local", "--workers", "2"])
"""


def begun(study, tmp_path):
    (tmp_path / "command.py").write_text(COMMAND, encoding="utf-8")
    path = os.pathsep.join(filter(None, sys.path))
    environment = {**os.environ, "HARD_STUDY_TRACES": str(study.traces), "PYTHONPATH": path}
    return subprocess.Popen(
        [sys.executable, "command.py"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip


def workers_of(study):
    """Both, once both have begun."""
    texts = [path.read_text(encoding="utf-8") for path in study.tries("stuck*")]
    return [int(text) for text in texts] if len(texts) == 2 and all(texts) else []


def awaited(condition):
    deadline = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


@no_windows
def test_ctrl_c_stops_all_workers_in_one_line_and_the_same_command_goes_on(hard, tmp_path):
    study = hard()
    process = begun(study, tmp_path)

    pids = awaited(lambda: workers_of(study))
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert [line.partition(":")[0] for line in said.splitlines()] == [
        "1 of 3", "2 of 3", "interrupted; the same command goes on from the last checkpoint",
    ]  # fmt: skip
    assert not [pid for pid in pids if is_alive(pid)]
    assert not study.tries("plain")
    assert not [path for path in (tmp_path / "results").rglob("*") if path.is_file()]  # no claim, no log
    (study.traces / "go on").touch()
    process = begun(study, tmp_path)
    page, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert page.count("stuck") == 2
    assert "| plain |" in page
    assert said.splitlines()[-1] == "3 of 3 done"


@no_windows
def test_workers_of_a_killed_process_stop_and_its_cells_are_free_again(hard, tmp_path):
    study = hard()
    process = begun(study, tmp_path)
    pids = awaited(lambda: workers_of(study))
    process.kill()
    process.communicate()
    awaited(lambda: not [pid for pid in pids if is_alive(pid)])
    assert not list((tmp_path / "results" / "claims").rglob("*"))


def test_a_cell_that_another_process_runs_is_left_to_it_by_its_number(hard, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(STUDIES, "hard", "studies.hard_study:STUDY")
    study = load_study("hard")
    with contextlib.ExitStack() as held:
        for cell in study.cells("cpu"):
            held.enter_context(Claim(tmp_path / "results" / "claims" / cell.key))
        for engine in ("here", "local"):
            with pytest.raises(SystemExit):
                main(["reproduce", "hard", "--results", str(tmp_path / "results"), "--engine", engine])
            *lines, last = capsys.readouterr().err.splitlines()
            left = [line for line in lines if line.startswith(f"left to process {os.getpid()} on ")]
            assert sorted(line.rpartition(", which runs it: ")[2] for line in left) == sorted(
                cell.key for cell in study.cells("cpu")
            )
            assert "done" not in "".join(lines)
            assert "holds no result of study hard yet" in last


def test_what_another_cell_keeps_busy_is_tried_again_after_the_others(tmp_path):
    study, busy = FakeStudy(tmp_path / "runs.log"), ["once"]

    def refuse_once(cell):
        if busy:
            raise InUseError(busy.pop())

    study.before_each = refuse_once
    ends = []
    page = reproduce(study, results=tmp_path / "results", budget="quick", on_end=ends.append)
    assert not page.failed
    assert not page.missing
    first, second = study.cells("quick")
    assert study.log.read_text(encoding="utf-8").split() == [second.key, first.key]
    assert [(end.cell, end.done, end.reason, end.again) for end in ends] == [
        (first, 0, "once", True), (second, 1, "", False), (first, 2, "", False),
    ]  # fmt: skip


def test_results_of_machines_that_share_no_folder_are_written_here(tmp_path):
    class Elsewhere(Here):
        def run(self, jobs):
            return super().run(job._replace(folder=tmp_path / "elsewhere") for job in jobs)

    study = FakeStudy(tmp_path / "runs.log")
    page = reproduce(study, results=tmp_path / "here", budget="cpu", engine=Elsewhere())
    assert not page.missing
    for path in (tmp_path / "elsewhere").glob("*.json"):
        assert (tmp_path / "here" / path.name).read_bytes() == path.read_bytes()
    assert len(list((tmp_path / "here").iterdir())) == 6


def test_work_takes_one_thread_and_tells_a_stop(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    study, before = FakeStudy(tmp_path / "runs.log"), torch.get_num_threads()

    def stop(cell):
        assert (torch.get_num_threads(), os.environ["OMP_NUM_THREADS"]) == (1, "1")
        raise KeyboardInterrupt

    study.before_each = stop
    torch.set_num_threads(2)
    try:
        outcome = work(Job(study, study.cells("quick")[0], tmp_path / "results"))
    finally:
        torch.set_num_threads(before)
    assert (outcome.result, outcome.reason, outcome.again) == (None, "it was stopped half way", True)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("here", {"workers": 2}, "got workers for engine here; it is for local, ray, slurm"),
        ("local", {"address": "auto"}, "got address for engine local; it is for ray"),
        ("ray", {"slurm": {"time": 1}}, "got slurm for engine ray; it is for slurm"),
        ("local", {"workers": 0}, "got workers=0; give at least 1"),
    ],
)
def test_options_of_another_engine_are_refused(name, options, message):
    with pytest.raises(InputError, match=message):
        load_engine(name, results="results", **options)


@pytest.mark.parametrize(("engine", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_a_missing_extra_is_named_with_its_cure(engine, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"engine {engine} needs {package}.* pip install 'fastslow\[{engine}\]'"):
        load_engine(engine, results="results")


@pytest.mark.slow
def test_a_ray_cluster_of_two_machines_runs_the_cells_and_survives_a_killed_worker(hard, tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="the extra ray is not installed")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    monkeypatch.chdir(tmp_path)
    study = hard("killed", "plain", "faulty", "other")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        page = reproduce(study, results="results", budget="cpu", engine=RayEngine(cluster.address))
    finally:
        cluster.shutdown()
    assert rows(page) == [("killed", "1"), ("plain", "1"), ("other", "1")]
    assert [len(study.tries(name)) for name in study.names] == [2, 1, 1, 1]
    assert list(page.failed.values()) == ["RuntimeError: a fault of the method"]


@pytest.mark.parametrize(("address", "reason"), [("localhost:1", "refused"), ("nowhere", "neither host:port nor auto")])
def test_an_address_without_a_ray_cluster_is_refused_at_once(address, reason, hard, tmp_path):
    pytest.importorskip("ray", reason="the extra ray is not installed")
    with pytest.raises(InputError, match=f"got address='{address}', where no Ray cluster can be had .*{reason}"):
        reproduce(hard("plain"), results=tmp_path, budget="cpu", engine=RayEngine(address))


@pytest.mark.slow
def test_submitit_runs_the_cells_and_again_those_of_lost_jobs(hard, tmp_path, monkeypatch):
    pytest.importorskip("submitit", reason="the extra slurm is not installed")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    study = hard("killed", "plain", "faulty")
    engine = SlurmEngine(tmp_path / "results" / "slurm", 2, {"partition": "long"}, cluster="local")
    page = reproduce(study, results=tmp_path / "results", budget="cpu", engine=engine)
    assert rows(page) == [("killed", "1"), ("plain", "1")]
    assert [len(study.tries(name)) for name in study.names] == [2, 1, 1]
    assert list(page.failed.values()) == ["RuntimeError: a fault of the method"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"colour": "red"}, r"got slurm=\{'colour': 'red'\}; Slurm cannot be used so: .*'colour'.* partition"),
        ({"time": "1:00:00"}, "got slurm.time='1:00:00'; give a whole number of minutes"),
    ],
)
def test_options_that_slurm_does_not_know_are_refused(options, message, tmp_path):
    pytest.importorskip("submitit", reason="the extra slurm is not installed")
    with pytest.raises(InputError, match=message):
        SlurmEngine(tmp_path, options=options, cluster="local")
