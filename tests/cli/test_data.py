from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from commands import fails
from fastslow.cli import main
from fastslow.data.registry import DATA
from fastslow.protocol.result import read_result


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTSLOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FASTSLOW_DATA", str(tmp_path / "data"))


def draw(folder, num_classes, per_class):
    for number in range(num_classes):
        (folder / f"c{number}").mkdir(parents=True)
        for i in range(per_class):
            pixels = np.full((28, 28), 255, np.uint8)
            pixels[4 + number : 8 + number, 6 + i % 8 : 22] = 0
            Image.fromarray(pixels).save(folder / f"c{number}" / f"{i}.png")


def size_of(path):
    with Image.open(path, formats=("PNG",)) as picture:
        return picture.size


def test_the_list_has_every_data_set_of_the_registry(capsys):
    main(["data", "list"])
    listed = capsys.readouterr().out
    for name, source in DATA.items():
        assert name in listed
        assert (f"fastslow data fetch {name}" in listed) == (source.files is not None)


def test_data_that_were_unpacked_are_at_hand(capsys, tmp_path):
    for part in ("background", "evaluation"):
        (tmp_path / "data" / "omniglot" / f"images_{part}").mkdir(parents=True)
    main(["data", "list"])
    listed = capsys.readouterr().out
    assert "fastslow data fetch omniglot" not in listed
    assert "fastslow data fetch mnist" in listed


def test_what_cannot_be_fetched_is_named_with_the_choices(capsys):
    assert "no data set 'imagenet' to fetch; choose from mnist, omniglot" in fails(capsys, "data", "fetch", "imagenet")
    assert "digits needs no download" in fails(capsys, "data", "fetch", "digits")


def test_preview_of_the_digits_and_of_one_part(capsys, tmp_path):
    main(["data", "preview", "digits", "--out", "all.png"])
    main(["data", "preview", "digits", "--part", "test", "--out", "test.png"])
    assert capsys.readouterr().out.split() == ["all.png", "test.png"]
    assert size_of("all.png")[1] > 1.5 * size_of("test.png")[1]  # ten classes and five
    message = fails(capsys, "data", "preview", "digits", "--part", "validation")
    assert "no classes for validation, only for train (5) and test (5); " in message
    assert "--part all" in message


@pytest.mark.parametrize(("num_classes", "per_class"), [(1, 1), (5, 20)])
def test_preview_of_a_small_folder(capsys, tmp_path, num_classes, per_class):
    draw(tmp_path / "mine", num_classes, per_class)
    main(["data", "preview", "mine"])
    assert size_of("preview.png")[0] > 0
    assert "no classes for test, only for train" in fails(capsys, "data", "preview", "mine", "--part", "test")


def test_preview_of_a_folder_with_parts(capsys, tmp_path):
    draw(tmp_path / "mine" / "train", 6, 2)
    (tmp_path / "mine" / "test").mkdir()
    (tmp_path / "mine" / "train" / "c5").rename(tmp_path / "mine" / "test" / "c5")
    main(["data", "preview", "mine", "--out", "all.png"])
    main(["data", "preview", "mine", "--part", "test", "--out", "test.png"])
    assert size_of("all.png")[1] > 2 * size_of("test.png")[1]


def test_the_ink_of_a_folder_can_be_said_and_cropped_to_under_every_command(capsys, tmp_path):
    draw(tmp_path / "mine", 6, 4)
    main(["data", "preview", "mine", "--out", "plain.png"])
    main(["data", "preview", "mine", "--ink", "dark", "--crop", "--out", "crop.png"])
    assert (tmp_path / "plain.png").read_bytes() != (tmp_path / "crop.png").read_bytes()
    measured = (
        "evaluate",
        "--model",
        "pretrained:omniglot-5w1s-fast",
        "--part",
        "all",
        "--queries",
        "3",
        "--episodes",
        "3",
    )
    train = ("train", "fewshot", "--steps", "1", "--queries", "1", "--data")
    for command in (("data", "preview"), (*measured, "--data"), train):
        assert "is blank: no bright ink stands out" in fails(capsys, *command, "mine", "--ink", "bright")
        message = fails(capsys, *command, "mine", "--ink", "as_is", "--crop")
        assert "got crop=True with ink='as_is'" in message
        assert "--ink auto" in message
        for flags in (["--ink", "dark"], ["--crop"]):
            assert "they are for a folder of your own" in fails(capsys, *command, "digits", *flags)


def test_an_evaluation_records_what_was_said_of_the_ink(tmp_path):
    draw(tmp_path / "mine", 6, 4)
    keys = set()
    for flags in ([], ["--ink", "dark"], ["--crop"]):
        main([
            "evaluate", "--model", "pretrained:omniglot-5w1s-fast", "--data", "mine", "--part", "all", "--queries", "3",
            "--episodes", "3", *flags, "--json", "out.json",
        ])  # fmt: skip
        result = read_result(tmp_path / "out.json")
        said = [word for word in result.provenance.command.split() if word in ("--ink", "dark", "--crop")]
        assert said == flags
        keys.add(result.cell.key)
    assert len(keys) == 3


def test_preview_refuses_what_it_cannot_draw_before_it_reads_data(capsys):
    assert "got seed=-1; it must be from 0 to 4294967295" in fails(capsys, "data", "preview", "nowhere", "--seed", "-1")
    message = fails(capsys, "data", "preview", "nowhere")
    assert "got data='nowhere'; give glyphs, omniglot, mnist, digits, or a folder" in message
    assert "image_size is 0" in fails(capsys, "data", "preview", "digits", "--image-size", "0")
    assert "has no split 'lake'" in fails(capsys, "data", "preview", "digits", "--split", "lake")


@pytest.mark.parametrize("command", ["fetch", "list", "preview"])
def test_help_does_not_wait_for_torch_or_scikit_learn(command):
    code = (
        f"import sys\nfrom fastslow.cli import main\ntry:\n    main(['data', '{command}', '--help'])\n"
        "except SystemExit:\n    pass\nsys.exit(bool({'torch', 'sklearn'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


def test_reading_data_does_not_wait_for_scikit_learn():
    code = "import sys, fastslow.data\nsys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
