from __future__ import annotations

import json
import zipfile

import pytest
import torch
import yaml

from commands import fails
from fastslow.cli import main
from fastslow.protocol.fewshot import Evaluation
from fastslow.protocol.result import Interval, read_result
from fastslow.studies import evaluation


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTSLOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FASTSLOW_DATA", str(tmp_path / "data"))


@pytest.fixture
def options(tmp_path, tiny_model, few_glyphs, small_trainings):
    content = {
        "way": 3, "tasks": 4, "queries": 2, "model": tiny_model, "steps": 6,
        "shares": [1, 1, 1], "name": "tiny",
    }  # fmt: skip
    path = tmp_path / "options.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_train_evaluate_and_table(options, capsys, tmp_path):
    main(["train", "fewshot", "--config", str(options), "--seed", "3"])
    assert "fast path on" in capsys.readouterr().out
    written = json.loads((tmp_path / "runs/tiny/config.json").read_text())
    assert (written["seed"], written["way"]) == (3, 3)
    main(
        ["evaluate", "--model", "runs/tiny", "--data", "glyphs", "--way", "3", "--episodes", "5", "--json", "out.json"]
    )
    result = read_result(tmp_path / "out.json")
    assert {"episodes", "split", "split_sha256", "transductive", "seed"} <= result.provenance.protocol.keys()
    assert result.numbers["accuracy"].count == 5
    assert result.provenance.seconds > 0
    assert result.provenance.command.startswith("fastslow evaluate --model runs/tiny --data glyphs")
    assert (result.cell.study, result.cell.seed, result.cell.options["model"]) == ("evaluate", 3, "tiny")
    main(["table", "runs/tiny/result.json", "--out", "table.md"])
    accuracy = read_result(tmp_path / "runs/tiny/result.json").numbers["accuracy"].mean
    assert f"{100 * accuracy:.2f} (1)" in (tmp_path / "table.md").read_text(encoding="utf-8")


def test_pack_halves_a_model(options, capsys, tmp_path):
    main(["train", "fewshot", "--config", str(options)])
    main(["pack", "runs/tiny", "small.safetensors"])
    assert (tmp_path / "small.safetensors").stat().st_size < 0.7 * (
        tmp_path / "runs/tiny/model.safetensors"
    ).stat().st_size
    main(["evaluate", "--model", "small.safetensors", "--way", "3", "--episodes", "3"])
    assert "ends in .safetensors" in fails(capsys, "pack", "runs/tiny", "small.bin")
    main(["pack", "runs/tiny", "small.safetensors"])  # once more: its JSON is its own
    (tmp_path / "package.json").write_text('{"name": "mine"}')
    assert "describes no model and would be lost" in fails(capsys, "pack", "runs/tiny", "package.safetensors")
    assert (tmp_path / "package.json").read_text() == '{"name": "mine"}'
    assert not (tmp_path / "package.safetensors").exists()


@pytest.mark.parametrize("name", ["[x]", "[bold]ä"])
def test_a_name_that_is_markup_is_shown_as_it_is(name, options, capsys, tmp_path):
    main(["train", "fewshot", "--config", str(options), "--name", name])
    assert f"left behind: runs/{name}" in capsys.readouterr().err
    main(["evaluate", "--model", f"runs/{name}", "--way", "3", "--episodes", "2"])
    assert "accuracy" in capsys.readouterr().out
    assert (tmp_path / "runs" / name / "result.json").exists()


@pytest.mark.parametrize(
    ("flags", "passed"),
    [
        ([], {"part": "test"}),
        (["--part", "train"], {"part": "train"}),
        (["--part", "all", "--queries", "4"], {"part": "all", "queries": 4}),
        (["--method", "matching"], {"part": "test", "method": "matching"}),
    ],
)
def test_evaluation_passes_on_part_queries_and_method(flags, passed, monkeypatch, few_glyphs):
    seen = {}

    def measured(model, **options):
        seen.update(options)
        return Evaluation({"accuracy": Interval(0.5, 0.1, 9)}, {"part": "test", "split": "x", "episodes": 9, "seed": 1})

    monkeypatch.setattr(evaluation, "evaluate_model", measured)
    main(["evaluate", "--model", "pretrained:omniglot-5w1s-fast", *flags])
    assert {name: seen[name] for name in ("part", "queries", "method")} == {"queries": 15, "method": None} | passed


def test_a_part_that_is_none_is_refused(capsys):
    assert "--part" in fails(capsys, "evaluate", "--model", "pretrained:omniglot-5w1s-fast", "--part", "tset")


def test_a_fraction_is_no_number_of_classes(capsys):
    assert "2.6" in fails(capsys, "evaluate", "--model", "pretrained:omniglot-5w1s-fast", "--way", "2.6")
    assert "2.6" in fails(capsys, "train", "fewshot", "--steps", "1", "--way", "2.6")


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="needs a machine without such a GPU")
def test_a_device_that_is_not_there_is_refused_before_a_folder_is_made(few_glyphs, capsys, tmp_path):
    assert "got device=mps" in fails(capsys, "train", "fewshot", "--steps", "1", "--device", "mps")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("command", [["train", "fewshot"], ["evaluate"], ["data", "fetch"], ["data", "preview"]])
def test_every_command_has_help(command, capsys):
    main([*command, "--help"])
    assert "fastslow" in capsys.readouterr().out


def test_list_and_preview(capsys, few_glyphs, tmp_path):
    main(["data", "list"])
    listed = capsys.readouterr().out
    assert "glyphs" in listed
    assert "fastslow data fetch omniglot" in listed
    main(["data", "preview", "--out", "sheet.png"])
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")


def test_missing_data(capsys, tmp_path):
    assert "got data='nowhere'" in fails(capsys, "train", "fewshot", "--data", "nowhere", "--steps", "1")
    message = fails(capsys, "train", "fewshot", "--data", "omniglot", "--data-dir", str(tmp_path), "--steps", "1")
    assert "fastslow data fetch omniglot" in message
    assert not (tmp_path / "runs").exists()


def test_truncated_zip(capsys, tmp_path):
    for part in ("background", "evaluation"):
        with zipfile.ZipFile(tmp_path / f"images_{part}.zip", "w") as file:
            file.writestr(f"images_{part}/Latin/character01/0001_01.png", b"x" * 1000)
        whole = (tmp_path / f"images_{part}.zip").read_bytes()
        (tmp_path / f"images_{part}.zip").write_bytes(whole[: len(whole) // 2])
    message = fails(
        capsys, "evaluate", "--model", "pretrained:omniglot-5w1s-fast", "--data", "omniglot", "--data-dir", "."
    )
    assert "images_background.zip" in message


def test_more_ways_than_classes(capsys, few_glyphs, tmp_path):
    assert "161-way" in fails(capsys, "train", "fewshot", "--way", "161", "--steps", "1")
    message = fails(capsys, "evaluate", "--model", "pretrained:omniglot-20w1s-fast", "--data", "glyphs", "--way", "20")
    assert "20" in message
    assert not (tmp_path / "runs").exists()


def test_unknown_options(capsys, options, tmp_path):
    options.write_text(options.read_text() + "wya: 5\n")
    assert "unknown option 'wya'" in fails(capsys, "train", "fewshot", "--config", str(options))
    assert "--wya" in fails(capsys, "train", "fewshot", "--wya", "5")
    assert not (tmp_path / "runs").exists()


def test_a_model_that_is_none(capsys, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"not a model")
    assert "corrupt or truncated" in fails(capsys, "evaluate", "--model", "model.safetensors", "--json", "out.json")
    assert not (tmp_path / "out.json").exists()


def test_a_taken_run_folder_and_nothing_to_resume(capsys, options):
    assert "nothing to resume" in fails(capsys, "train", "fewshot", "--config", str(options), "--resume")
    main(["train", "fewshot", "--config", str(options)])
    capsys.readouterr()
    assert "holds a run already" in fails(capsys, "train", "fewshot", "--config", str(options))


def test_images_of_the_wrong_shape_in_a_folder(capsys, tmp_path):
    (tmp_path / "mine" / "a").mkdir(parents=True)
    (tmp_path / "mine" / "a" / "x.png").write_bytes(b"no image")
    assert "x.png" in fails(capsys, "train", "fewshot", "--data", "mine", "--steps", "1")


def test_table_of_no_result(capsys, tmp_path):
    (tmp_path / "x.json").write_text("{}")
    assert "holds no result" in fails(capsys, "table", "x.json")
    (tmp_path / "empty").mkdir()
    assert "found no results" in fails(capsys, "table", "empty")


def test_outputs_that_cannot_be_written_are_refused_before_the_work(capsys, few_glyphs, tmp_path):
    (tmp_path / "folder").mkdir()
    evaluation = ("evaluate", "--model", "pretrained:omniglot-5w1s-fast", "--data", "glyphs", "--episodes", "1000000")
    assert "folder cannot be written" in fails(capsys, *evaluation, "--json", "folder")
    assert "folder cannot be written" in fails(capsys, "data", "preview", "--out", "folder")
    assert "seed=" in fails(capsys, "data", "preview", "--seed", "99999999999999")
