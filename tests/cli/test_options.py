"""Flags of a dataclass of options: what was given and nothing else, over what a YAML file gives."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import cyclopts
import pytest

from fastslow.cli import main
from fastslow.cli.numbers import exactly
from fastslow.cli.options import flags_of, given_options, read_texts
from fastslow.errors import InputError


@dataclasses.dataclass(frozen=True)
class Part:
    dim: int = 5
    channels: tuple[int, ...] = (1, 2)
    names: tuple[str, ...] = ()
    gradients: Literal["synthetic", "true"] = "synthetic"
    recurrent: bool = True
    rate: float = 0.5
    word: str = ""


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of a test."""

    data_dir: Path | None = None
    """Where the data
    lie."""
    way: int = 5
    """Classes per task."""
    rates: tuple[float, float] = (0.1, 0.2)
    """Rates."""
    augment: bool = True
    """Small changes."""
    model: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Changes to the model."""
    steps: int | None = None
    """Of the training."""
    seeds: Annotated[Optional[int], "a note"] = None  # noqa: UP045 - written so, it is another type
    """How many."""

    def __post_init__(self) -> None:
        raise InputError("flags alone must not build the options: some may be in the file")


Flags = flags_of(Options)


def run(*arguments):
    """What a command with these flags is given."""
    app = cyclopts.App(result_action="return_value", default_parameter=cyclopts.Parameter(converter=exactly))

    @app.default
    def command(*, flags: Annotated[Flags | None, cyclopts.Parameter(name="*")] = None):
        return flags

    return app(list(arguments), print_error=False, exit_on_error=False)


def test_only_the_flags_given_are_there():
    assert run() is None
    assert run("--way", "5") == {"way": 5}
    assert run("--no-augment", "--data-dir", "here", "--rates", "1", "2") == {
        "augment": False, "data_dir": Path("here"), "rates": (1.0, 2.0),
    }  # fmt: skip


def test_help_is_the_docstring_of_the_field_and_its_default(capsys):
    run("--help")
    text = " ".join(capsys.readouterr().out.replace("│", "").split())
    assert "--data-dir PATH Where the data lie. --" in text
    assert "None" not in text
    assert "--rates FLOAT FLOAT Rates. [default: (0.1, 0.2)]" in text


@pytest.mark.parametrize("flag", ["--way", "--steps", "--seeds"])
@pytest.mark.parametrize("text", ["2.6", "5.0", "1e3", "five", ""])
def test_a_whole_number_is_not_rounded(flag, text):
    with pytest.raises(cyclopts.CycloptsError, match=flag):
        run(flag, text)


@pytest.mark.parametrize(
    "command",
    [
        ["train", "fewshot", "--steps", "1.5"],
        ["reproduce", "figure3", "--seeds", "0.6"],
        ["reproduce", "figure3", "--workers", "1.5"],
        ["forecast", "junction", "--slots", "2.5"],
        ["quickstart", "--steps", "1.5"],
    ],
    ids=" ".join,
)
def test_no_command_rounds_a_whole_number_that_may_be_left_out(command, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(command)
    assert stopped.value.code == 2
    line = capsys.readouterr().err
    assert command[-2] in line
    assert repr(command[-1]) in line


def test_a_leading_zero_is_no_octal_number():
    assert run("--way", "010", "--steps", "010", "--seeds", "3") == {"way": 10, "steps": 10, "seeds": 3}


def test_flags_go_before_the_file(tmp_path):
    path = tmp_path / "options.yaml"
    path.write_text("way: 7\naugment: false\n", encoding="utf-8")
    assert given_options(path, {"way": 3}) == {"way": 3, "augment": False}
    assert given_options(path, None) == {"way": 7, "augment": False}
    assert given_options(None, {"way": 3}) == {"way": 3}


def test_a_field_given_by_flag_leaves_the_others_of_the_file(tmp_path):
    path = tmp_path / "options.yaml"
    path.write_text("model: {dim: 16, word: so}\n", encoding="utf-8")
    flags = run("--model.dim", "8", "--model.rate", "2")
    assert given_options(path, flags, model=Part)["model"] == {"dim": 8, "word": "so", "rate": 2}


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("dim", "16", 16),
        ("channels", "[4, 8]", [4, 8]),
        ("names", "['write']", ["write"]),
        ("names", "[]", []),
        ("gradients", "true", "true"),
        ("gradients", '"true"', "true"),
        ("recurrent", "False", False),
        ("recurrent", "true", True),
        ("rate", "0.25", 0.25),
        ("word", "12", "12"),
        ("word", "[", "["),
        ("dim", "many", "many"),
        ("dim", "2.6", "2.6"),
    ],
)
def test_text_is_read_as_its_field_asks(field, text, value):
    (read,) = read_texts(Part, {field: text}).values()
    assert read == value
    assert type(read) is type(value)


def test_hyphens_are_underscores_and_unknown_names_stay_to_be_refused_by_name():
    assert read_texts(Part, {"no-such": "3"}) == {"no_such": 3}
    with pytest.raises(InputError, match="one option twice"):
        read_texts(Part, {"no-such": "3", "no_such": "4"})
