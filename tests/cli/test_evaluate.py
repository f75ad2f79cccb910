"""`fastslow evaluate`: what was measured is said, whatever becomes of the file."""

import pytest

from fastslow.cli import main
from fastslow.protocol import result as results
from fastslow.studies import evaluation
from result_sample import fewshot_result, measured


def test_a_disk_that_is_full_at_the_end_costs_the_file_and_not_the_measurement(tmp_path, capsys, monkeypatch):
    def full(path, result):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(evaluation, "measure", lambda *_, **__: fewshot_result(measured()))
    monkeypatch.setattr(results, "write_result", full)
    with pytest.raises(SystemExit, match="1"):
        main(["evaluate", "--model", "x", "--json", str(tmp_path / "a.json")])
    said = capsys.readouterr()
    assert "91.23" in said.out
    assert "No space left" in said.err
