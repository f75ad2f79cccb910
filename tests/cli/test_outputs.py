"""Files that a command reads are not written over, and outputs have the ending that is due."""

from __future__ import annotations

import pytest

from fastslow.cli import main
from fastslow.cli.outputs import refuse_output
from fastslow.errors import InputError

RUN = "config.json", "metrics.jsonl", "model.safetensors", "model.json", "result.json"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A folder with files of these names, in which nothing may be lost; all commands are run beside it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    for name in RUN:
        (tmp_path / "run" / name).write_text("mine")
    (tmp_path / "linked.json").symlink_to(tmp_path / "run" / "config.json")
    return tmp_path / "run"


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "--model", "run", "--json", "run/config.json"],
        ["evaluate", "--model", "run", "--json", "linked.json"],
        ["evaluate", "--model", "run/model.safetensors", "--json", "run/model.json"],
        ["evaluate", "--model", "run/model.safetensors", "--json", "run/model.safetensors"],
        ["report", "run", "--out", "run/metrics.jsonl"],
        ["report", "run/result.json", "--out", "run/result.json"],
        ["pack", "run", "run/model.safetensors"],
        ["pack", "run/model.safetensors", "run/../run/model.safetensors"],
        ["statistics", "run", "--out", "run/model.safetensors"],
        ["table", "run", "--out", "run/result.json"],
        ["table", "run", "--readme", "run/result.json"],
        ["play", "--model", "run/model.safetensors", "--out", "run/model.safetensors"],
        ["data", "preview", "--out", "run/config.json"],
    ],
    ids=" ".join,
)
def test_what_is_read_is_not_written_over(run, command, capsys):
    with pytest.raises(SystemExit):
        main(command)
    said = capsys.readouterr().err
    assert said.startswith("error: got ")
    assert "would be lost" in said or "whose name ends in" in said
    assert len(said.splitlines()) == 1
    assert {name: (run / name).read_text() for name in RUN} == dict.fromkeys(RUN, "mine")


def test_names_that_are_no_files_and_files_of_other_folders_are_in_nobodys_way(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refuse_output("--json", tmp_path / "config.json", ".json", others={"the model": "pretrained:omniglot-5w1s"})
    refuse_output("--json", None, ".json", others={"the model": "config.json"})
    refuse_output("--out", tmp_path / "A.HTML", ".html", others={"a": None, "b": "other/A.HTML"})
    with pytest.raises(InputError, match="which is b too and would be lost"):
        refuse_output("--out", tmp_path / "a.csv", ".csv", others={"b": "./a.csv"})
