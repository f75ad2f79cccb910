"""`fastslow evaluate`: what was measured is said, whatever becomes of the file."""

import pytest
import torch

from fastslow.cli import main
from fastslow.data.base import ClassImages
from fastslow.data.splits import make_split
from fastslow.protocol import result as results
from fastslow.protocol.result import read_result
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


@pytest.fixture
def _characters(monkeypatch):
    """Twelve characters of two alphabets in place of Omniglot, six drawings each."""
    labels = torch.arange(12).repeat_interleave(6)
    generator = torch.Generator().manual_seed(0)
    images = 255 * torch.randint(0, 2, (12, 28, 28), generator=generator, dtype=torch.uint8)[labels]
    names = tuple(f"images_evaluation/{alphabet}/character{n:02}" for alphabet in ("A", "B") for n in range(6))
    data = ClassImages(images, labels, names), make_split("s", names, train=(), validation=(), test=range(12))
    monkeypatch.setattr(evaluation, "load_source", lambda *_, **__: data)


@pytest.mark.usefixtures("_characters")
def test_harder_episodes_are_asked_for_by_flags_said_and_recorded(tmp_path, capsys):
    keys = set()
    for flags, said in (
        ([], []),
        (["--same-alphabet"], ["within one alphabet"]),
        (["--wrong-labels", "0.2"], ["20 % of the support labels wrong"]),
        (["--same-alphabet", "--wrong-labels", "0.4"], ["within one alphabet", "40 % of the support labels wrong"]),
    ):
        command = [
            "--model",
            "pretrained:omniglot-5w1s-fast",
            "--data",
            "omniglot",
            "--queries",
            "3",
            "--episodes",
            "3",
        ]
        main(["evaluate", *command, *flags, "--json", str(tmp_path / "out.json")])
        title = " ".join(capsys.readouterr().out.split())
        assert all(words in title for words in said)
        assert ("within" in title, "wrong" in title) == ("--same-alphabet" in flags, "--wrong-labels" in flags)
        result = read_result(tmp_path / "out.json")
        words = result.provenance.command.split()
        assert [word for word in words if word in ("--same-alphabet", "--wrong-labels", "0.2", "0.4")] == flags
        assert result.provenance.protocol.get("same_alphabet", False) == ("--same-alphabet" in flags)
        keys.add(result.cell.key)
    assert len(keys) == 4


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--data", "digits", "--same-alphabet"], "is of no alphabet; only classes named PART/ALPHABET/CHARACTER"),
        (["--data", "digits", "--wrong-labels", "1.2"], "got wrong_labels=1.2; a share from 0 to 1 was expected"),
        (["--data", "digits", "--wrong-labels", "0.05"], "with support sets of 5: that is not one label"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_made_harder_is_refused(capsys, flags, message):
    with pytest.raises(SystemExit, match="2"):
        main(["evaluate", "--model", "pretrained:omniglot-5w1s-fast", *flags])
    assert message in capsys.readouterr().err
