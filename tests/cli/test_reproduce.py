"""`fastslow reproduce`: parts as people count them, pages to the screen and to files, refusals before any work."""

from __future__ import annotations

import pytest

from fastslow.cli import main
from fastslow.cli.reproduce import read_part
from fastslow.errors import InputError
from fastslow.training.interruption import Interrupted

pytestmark = pytest.mark.usefixtures("study")


def test_two_parts_make_the_page(tmp_path, capsys):
    main(["reproduce", "fake", "--part", "1/2", "--budget", "cpu", "--out", "page.html"])
    said = capsys.readouterr()
    assert said.out.split() == ["page.html"]
    assert "1 of 3: fake-nothing-none" in said.err
    assert "3 cells still to be run" in said.err
    assert "3 cells still to be run" in (tmp_path / "page.html").read_text(encoding="utf-8")
    main(["reproduce", "fake", "--part", "2/2", "--budget", "cpu", "--out", "page.md"])
    assert "still to be run" not in capsys.readouterr().err
    text = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert text.startswith("# Fake \\| study")
    main(["reproduce", "fake", "--budget", "cpu"])
    assert capsys.readouterr().out == text
    assert len((tmp_path / "runs.log").read_text(encoding="utf-8").split()) == 6


def test_one_seed_alone_as_latex(tmp_path):
    main(["reproduce", "fake", "--budget", "cpu", "--seeds", "1", "--out", "page.tex"])
    text = (tmp_path / "page.tex").read_text(encoding="utf-8")
    assert text.startswith("\\begin{table}")
    assert (text.count("seed0"), text.count("seed1")) == (3, 0)


@pytest.mark.parametrize("text", ["0/2", "3/2", "x", "1", "1/0", "-1/2", "1/2/3", "", "1.0/2", "१/२", "1/9999999999"])
def test_bad_parts_are_refused_in_words(text, tmp_path, capsys):
    with pytest.raises(InputError, match="give I/N with I from 1 to N"):
        read_part(text)
    with pytest.raises(SystemExit, match="2"):
        main(["reproduce", "fake", f"--part={text}"])
    assert "error: got part=" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_parts_count_from_one():
    assert [read_part(text) for text in ("1/1", "1/2", "2/2")] == [(0, 1), (0, 2), (1, 2)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fke"], "got study 'fke'; choose from"),
        (["fake", "--out", "page.txt"], "ends in .html, .md or .tex"),
        (["fake", "--out", "in-the-way/page.md"], "in-the-way"),
        (["fake", "--results", "in-the-way"], "in-the-way"),
        (["fake", "--budget", "endless"], "endless"),
        (["fake", "--workers", "2"], "got workers for engine here"),
        (["fake", "--engine", "local", "--slurm.time", "9"], "got slurm for engine local; it is for slurm"),
        (["fewshot", "--methods", "protonet,foo"], "got methods=['protonet', 'foo'], cells=[], seeds=None; study"),
        (["fewshot", "--cells", "5w1s,7w1s"], "got methods=[], cells=['5w1s', '7w1s'], seeds=None; study fewshot"),
        (["fake", "--cell", "fke"], "got cell='fke'; study fake has no such cell with --budget quick"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(arguments, message, tmp_path, capsys):
    (tmp_path / "in-the-way").write_text("a file", encoding="utf-8")
    with pytest.raises(SystemExit, match="2"):
        main(["reproduce", *arguments])
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["in-the-way"]


def test_an_interruption_keeps_what_is_finished(study, tmp_path, capsys):
    def stop(cell):
        if cell.seed == 1:
            raise KeyboardInterrupt

    study.before_each = stop
    with pytest.raises(SystemExit, match="130"):
        main(["reproduce", "fake"])
    assert capsys.readouterr().err.splitlines()[-1] == "interrupted"
    assert len(list((tmp_path / "results").glob("*.json"))) == 1


def test_a_stopped_training_ends_in_one_line(study, capsys):
    def stop(cell):
        raise Interrupted

    study.before_each = stop
    with pytest.raises(SystemExit, match="130"):
        main(["reproduce", "fake"])
    assert capsys.readouterr().err.splitlines()[-1].startswith("interrupted; the same command goes on")


def test_a_cell_that_cannot_be_run_does_not_block_the_others_and_is_named_at_the_end(study, tmp_path, capsys):
    first, *others = study.cells("cpu")

    def refuse(cell):
        if cell.key == first.key:
            raise InputError("got no data; fetch them")

    study.before_each = refuse
    with pytest.raises(SystemExit, match="2"):
        main(["reproduce", "fake", "--budget", "cpu"])
    said = capsys.readouterr()
    assert said.err.splitlines()[-1] == f"error: {first.key} could not be run: got no data; fetch them"
    assert all(cell.key in said.out for cell in others)
    assert {path.stem for path in (tmp_path / "results").glob("*.json")} == {cell.key for cell in others}


def test_where_no_cell_can_be_run_the_reason_is_said_once(study, capsys):
    def refuse(cell):
        raise InputError("got no data; fetch them")

    study.before_each = refuse
    with pytest.raises(SystemExit, match="2"):
        main(["reproduce", "fake"])
    first, _ = study.cells("quick")
    end = capsys.readouterr().err.splitlines()[-1]
    assert end == f"error: 2 cells, such as {first.key}, could not be run: got no data; fetch them"
