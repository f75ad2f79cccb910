"""The quickstart, in a few steps on a few glyphs: what it prints, leaves behind, repeats and refuses."""

import json
import signal
from pathlib import Path

import pytest

from fastslow.cli import main
from fastslow.data import registry
from fastslow.errors import InputError
from fastslow.protocol.result import read_result
from fastslow.studies import quickstart
from fastslow.studies.quickstart import quickstart_config, run_quickstart
from fastslow.training.interruption import Interrupted
from fastslow.training.run import RUN_FILES

RUN = quickstart_config(minutes=None, steps=8, seed=0).run_name()


@pytest.fixture(autouse=True)
def tiny(monkeypatch, tmp_path, small_trainings):
    monkeypatch.setattr(registry, "GLYPH_CLASSES", (8, 6, 6))
    monkeypatch.setattr(quickstart, "EPISODES", 40)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def plain_page(monkeypatch):
    """A page without pictures, which take most of the time."""
    monkeypatch.setattr(quickstart, "write_report", lambda sources, out: Path(out).write_text("page", encoding="utf-8"))


def press_ctrl_c(progress):
    if (progress.stage, progress.step) == ("encoder", 2):
        signal.raise_signal(signal.SIGINT)


def start(*more):
    main(["quickstart", "--steps", "8", "--out", "qs", *more])


def test_quickstart_prints_the_table_and_leaves_run_and_report(tmp_path, capsys):
    start()
    printed = capsys.readouterr().out
    run = tmp_path / "qs" / RUN
    assert "fast path off" in printed
    assert "prototypes" in printed
    assert "report: qs/report.html" in printed
    assert f"--model qs/{RUN}" in printed
    result = read_result(run / "result.json")
    facts = result.provenance.protocol
    assert (facts["episodes"], facts["n_way"], facts["n_shot"], facts["part"]) == (40, 5, 1, "test")
    assert result.numbers["fast_path_off"].mean == pytest.approx(0.2, abs=0.05)
    page = (tmp_path / "qs" / "report.html").read_text(encoding="utf-8")
    for number in result.numbers.values():
        assert f"{100 * number.mean:.2f} ± {100 * number.half_width:.2f} %" in page
    assert page.count('src="data:image/png') == 4
    assert (run / "model.safetensors").exists()


def test_finished_quickstart_is_replaced_and_other_files_are_left_alone(tmp_path, plain_page):
    start()
    run = tmp_path / "qs" / RUN
    (run / "notes.txt").write_text("mine", encoding="utf-8")
    (run / "result.json").write_text("{}", encoding="utf-8")
    start()
    assert read_result(run / "result.json").numbers["accuracy"].count == 40
    assert len((run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()) == 3
    assert (run / "notes.txt").read_text(encoding="utf-8") == "mine"
    assert {path.name for path in run.iterdir()} == {*RUN_FILES, "notes.txt"}
    assert {path.name for path in run.parent.iterdir()} == {RUN, "report.html"}


def test_a_finished_quickstart_stays_until_the_new_one_is_complete(tmp_path, plain_page):
    config = quickstart_config(minutes=None, steps=8, seed=0)
    run = run_quickstart(config, out=tmp_path / "qs").run
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    with pytest.raises(Interrupted):
        run_quickstart(config, out=tmp_path / "qs", on_progress=press_ctrl_c)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    with pytest.raises(InputError, match="interrupted quickstart"):
        run_quickstart(config, out=tmp_path / "qs")
    again = run_quickstart(config, out=tmp_path / "qs", resume=True)
    assert again.run == run
    assert (run / "result.json").read_bytes() != before["result.json"]  # it says how long it took
    assert {path.name for path in run.parent.iterdir()} == {RUN, "report.html"}


class Killed(BaseException):
    """In place of the end of the process."""


def replace_until(patch, last, *folders):
    """A replacement whose process ends before its rename or removal of number `last`."""
    calls = []

    def guarded(original):
        def call(*arguments, **options):
            calls.append(arguments)
            if len(calls) > last:
                raise Killed
            return original(*arguments, **options)

        return call

    for owner, name in ((Path, "rename"), (Path, "rmdir"), (quickstart.shutil, "rmtree")):
        patch.setattr(owner, name, guarded(getattr(owner, name)))
    quickstart._replace(*folders)


@pytest.mark.parametrize("last", range(6))
def test_a_replacement_that_was_killed_is_done_by_the_next_quickstart(tmp_path, monkeypatch, last):
    out = tmp_path / "qs"
    run, new, old = out / RUN, out / ".new" / RUN, out / ".old" / RUN
    for folder, text in ((run, "old"), (new, "new")):
        folder.mkdir(parents=True)
        for name in RUN_FILES:
            (folder / name).write_text(text)
    (run / "notes.txt").write_text("mine")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        replace_until(patch, last, run, new, old)
    assert any((folder / "result.json").exists() for folder in (run, new, old))
    monkeypatch.setattr(quickstart, "run_fewshot", None)  # the next one gets as far as its training
    with pytest.raises(TypeError, match="NoneType"):
        run_quickstart(quickstart_config(minutes=None, steps=8, seed=0), out=out)
    found = {path.name: path.read_text() for path in run.iterdir()}
    assert found == {**dict.fromkeys(RUN_FILES, "new"), "notes.txt": "mine"}
    assert not old.exists()


def test_a_finished_quickstart_without_its_report_gets_it_by_resume(tmp_path, plain_page):
    start()
    (tmp_path / "qs" / "report.html").unlink()
    start("--resume")
    assert (tmp_path / "qs" / "report.html").exists()


def test_interrupted_quickstart_goes_on_with_resume_only(tmp_path, capsys, monkeypatch, plain_page):
    run_fewshot = quickstart.run_fewshot

    def stopped(config, *, on_progress, **options):
        return run_fewshot(config, on_progress=press_ctrl_c, **options)

    with monkeypatch.context() as patch:
        patch.setattr(quickstart, "run_fewshot", stopped)
        with pytest.raises(SystemExit) as stop:
            start()
    assert stop.value.code == 130
    assert "--resume" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        start()
    assert stop.value.code == 2
    assert "interrupted quickstart" in capsys.readouterr().err
    start("--resume")
    lines = (tmp_path / "qs" / RUN / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["stage"] for line in lines] == ["encoder", "memory", "end_to_end"]
    assert (tmp_path / "qs" / "report.html").exists()


def test_the_folder_named_at_an_interruption_holds_the_checkpoint(tmp_path, capsys, monkeypatch):
    def stopped(config, *, runs, **options):
        folder = runs / config.run_name()
        folder.mkdir(parents=True)
        (folder / "checkpoint.pt").write_bytes(b"x")
        raise Interrupted

    (tmp_path / "qs" / RUN).mkdir(parents=True)
    (tmp_path / "qs" / RUN / "result.json").write_text("{}", encoding="utf-8")
    monkeypatch.setattr(quickstart, "run_fewshot", stopped)
    with pytest.raises(SystemExit, match="130"):
        start()
    (folder,) = (tmp_path / "qs").rglob("checkpoint.pt")
    assert f"the checkpoint is in {folder.parent.relative_to(tmp_path)}: go on" in capsys.readouterr().err


@pytest.mark.parametrize("length", [("--minutes", "0"), ("--minutes", "-1"), ("--steps", "0")])
def test_length_must_be_positive(length, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["quickstart", *length])
    assert stop.value.code == 2
    assert "positive" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_resume_without_a_run_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        start("--resume")
    assert stop.value.code == 2
    assert "nothing to resume" in capsys.readouterr().err
