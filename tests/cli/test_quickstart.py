"""The quickstart, in a few steps on a few glyphs: what it prints, leaves behind, repeats and refuses."""

import json
import signal

import pytest

from fastslow.cli import main
from fastslow.data import registry as sources
from fastslow.studies import quickstart

RUN = "glyphs-5w1s-fastslow-default-seed0"


@pytest.fixture(autouse=True)
def tiny(monkeypatch, tmp_path):
    monkeypatch.setattr(sources, "GLYPH_CLASSES", (8, 6, 6))
    monkeypatch.setattr(quickstart, "EPISODES", 40)
    monkeypatch.chdir(tmp_path)


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
    result = json.loads((run / "result.json").read_text())
    assert result["episodes"] == 40
    assert (result["n_way"], result["n_shot"], result["part"]) == (5, 1, "test")
    assert result["beside"]["fast_path_off"]["accuracy_mean"] == pytest.approx(0.2, abs=0.05)
    page = (tmp_path / "qs" / "report.html").read_text(encoding="utf-8")
    for row in (result, *result["beside"].values()):
        assert f"{100 * row['accuracy_mean']:.2f} ± {100 * row['accuracy_ci95']:.2f} %" in page
    assert page.count('src="data:image/png') == 4
    assert (run / "model.safetensors").exists()


def test_finished_quickstart_is_replaced_and_other_files_are_left_alone(tmp_path):
    start()
    run = tmp_path / "qs" / RUN
    (run / "notes.txt").write_text("mine")
    (run / "result.json").write_text("{}")
    start()
    assert json.loads((run / "result.json").read_text())["episodes"] == 40
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 3
    assert (run / "notes.txt").read_text() == "mine"


def test_interrupted_quickstart_goes_on_with_resume_only(tmp_path, monkeypatch, capsys):
    run_fewshot = quickstart.run_fewshot

    def interrupted(config, *, on_progress, **options):
        def press_ctrl_c(progress):
            if (progress.stage, progress.step) == ("encoder", 2):
                signal.raise_signal(signal.SIGINT)

        return run_fewshot(config, on_progress=press_ctrl_c, **options)

    with monkeypatch.context() as patch:
        patch.setattr(quickstart, "run_fewshot", interrupted)
        with pytest.raises(SystemExit) as stop:
            start()
    assert stop.value.code == 130
    assert "--resume" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        start()
    assert stop.value.code == 2
    assert "interrupted quickstart" in capsys.readouterr().err
    start("--resume")
    lines = (tmp_path / "qs" / RUN / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["stage"] for line in lines] == ["encoder", "memory", "finetune"]
    assert (tmp_path / "qs" / "report.html").exists()


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
