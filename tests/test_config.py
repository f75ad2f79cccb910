from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from annotated_types import Ge, Gt, Le, Lt
from hypothesis import given, settings
from hypothesis import strategies as st

from fastslow.config import check, load_config, parse, read_value, write_value
from fastslow.errors import InputError
from fastslow.methods.config import CONTROLS, ModelConfig
from fastslow.studies.fewshot_config import FewShotConfig
from mutations import FUZZ, attempt, damaged


@dataclasses.dataclass(frozen=True)
class Inner:
    size: Annotated[int, Ge(1)] = 1


@dataclasses.dataclass(frozen=True)
class Options:
    """One field of each type that options have."""

    whole: Annotated[int, Ge(2), Le(20)] = 5
    rate: Annotated[float, Gt(0), Lt(1)] = 0.5
    rates: tuple[float, float] = (1.0, 2.0)
    sides: tuple[Annotated[int, Ge(0)], ...] = ()
    flag: bool = True
    word: str = "word"
    choice: Literal["a", "b"] = "a"
    path: Path | None = None
    table: dict[str, Any] = dataclasses.field(default_factory=dict)
    inner: Inner = Inner()
    inners: Mapping[str, Inner] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        check(self)


@pytest.mark.parametrize(
    "values",
    [
        {"whole": "5"}, {"whole": True}, {"whole": 5.0}, {"whole": None}, {"whole": [5]}, {"whole": math.nan},
        {"rate": "0.5"}, {"rate": True}, {"rate": math.nan}, {"rate": math.inf}, {"rate": b"1"},
        {"rates": [1.0]}, {"rates": [1, "2"]}, {"rates": [1, math.nan]}, {"rates": 1}, {"rates": "12"},
        {"flag": 1}, {"flag": "yes"}, {"flag": 0.0}, {"word": 5}, {"word": True}, {"word": None}, {"choice": "c"},
        {"path": 5}, {"path": ["a"]}, {"table": [1]}, {"table": {"x": {"y": [math.inf]}}},
        {"table": {"x": NotImplemented}},
        {"inner": {"size": "1"}}, {"inner": {"size": 1, "more": 2}}, {"inners": {"x": {"size": True}}},
        {"inners": {"x": {"more": 1}}}, {"word": "\udc80"}, {"table": {("a", "b"): 1}},
    ],
    ids=str,
)  # fmt: skip
def test_values_of_another_type_are_refused_by_name(values):
    with pytest.raises(InputError) as refusal:
        parse(Options, values)
    assert len(str(refusal.value)) < 400
    name = next(iter(values))
    assert name in str(refusal.value) or "more" in str(values) or "half a character" in str(refusal.value)


@pytest.mark.parametrize(
    ("values", "field", "value"),
    [
        ({"rates": [1, 2]}, "rates", (1.0, 2.0)), ({"rates": (1.5, 2)}, "rates", (1.5, 2.0)),
        ({"sides": [1, 2, 3]}, "sides", (1, 2, 3)), ({"path": "a/b"}, "path", Path("a/b")),
        ({"path": Path("a")}, "path", Path("a")), ({"whole": np.int64(7)}, "whole", 7),
        ({"inner": {"size": 3}}, "inner", Inner(3)), ({"inner": Inner(4)}, "inner", Inner(4)),
        ({"inners": {"x": {"size": 3}}}, "inners", {"x": Inner(3)}),
        ({"table": {"x": [1, None]}}, "table", {"x": [1, None]}),
    ],
    ids=str,
)  # fmt: skip
def test_plain_values_become_what_the_dataclass_holds(values, field, value):
    got = getattr(parse(Options, values), field)
    assert got == value
    assert type(got) is type(value)


@given(st.floats(min_value=0, max_value=1, exclude_min=True, exclude_max=True))
@settings(deadline=None, max_examples=50)
def test_numbers_keep_their_last_bit(number):
    assert parse(Options, {"rate": number}).rate == number


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"whole": 1}, "got whole=1; it must be at least 2"), ({"whole": 21}, "got whole=21; it must be at most 20"),
        ({"rate": 0.0}, "got rate=0.0; it must be more than 0"),
        ({"rate": 1.5}, "got rate=1.5; it must be less than 1"),
    ],
)  # fmt: skip
def test_bounds_hold_however_a_dataclass_is_made(values, message):
    for make in (lambda: parse(Options, values), lambda: Options(**values)):
        with pytest.raises(InputError, match=message):
            make()


def test_bounds_hold_for_each_of_several_numbers_and_inside():
    with pytest.raises(InputError, match=r"got sides\.1=-1; it must be at least 0"):
        Options(sides=(1, -1))
    with pytest.raises(InputError, match=r"got inner\.size=0; it must be at least 1"):
        parse(Options, {"inner": {"size": 0}})


@pytest.mark.parametrize(
    "values",
    [
        {"whole": True}, {"whole": "5"}, {"whole": 5.0}, {"rate": math.nan}, {"rates": (1, math.inf)}, {"flag": 1},
        {"word": None}, {"choice": "c"}, {"table": {"x": math.nan}}, {"path": 5}, {"inner": {"size": 1}},
    ],
    ids=str,
)  # fmt: skip
def test_types_hold_however_a_dataclass_is_made(values):
    with pytest.raises(InputError, match=f"got {next(iter(values))}"):
        Options(**values)
    assert Options(rate=0.25, rates=(1, 2), path=Path("a")).rates == (1, 2)


def test_a_mistake_in_the_program_is_not_taken_for_one_of_the_user():
    @dataclasses.dataclass
    class Broken:
        size: int = 1

        def __post_init__(self):
            raise TypeError("a mistake in the program")

    with pytest.raises(TypeError, match="a mistake in the program"):
        parse(Broken, {"size": 2})


def test_a_field_without_a_value_is_named():
    @dataclasses.dataclass
    class Needs:
        size: int

    with pytest.raises(InputError, match="option size is missing; give it a value"):
        parse(Needs, {})


def test_messages_are_short_whatever_the_value():
    deep = []
    for _ in range(10_000):
        deep = [deep]
    for value in ("x" * 10**6, list(range(5000)), 10**6000, {"k" * 10**5: 1}, deep):
        for name in ("whole", "table", "k" * 100):
            with pytest.raises(InputError) as refusal:
                parse(Options, {name: value if name != "table" else {"x": value, "y": math.nan}})
            assert len(str(refusal.value)) < 1000


def test_options_of_a_study_are_checked_against_their_type():
    with pytest.raises(InputError, match="got way='many'; it must be a valid integer"):
        parse(FewShotConfig, {"steps": 1, "way": "many"})
    with pytest.raises(InputError, match="got steps='12'; it must be a valid integer"):
        parse(FewShotConfig, {"steps": "12"})
    with pytest.raises(InputError, match="got method='magic'; choose from"):
        parse(FewShotConfig, {"steps": 1, "method": "magic"})


def test_unknown_options_are_refused_by_name():
    with pytest.raises(InputError, match=r"unknown option 'wya'; the options are .*way"):
        parse(FewShotConfig, {"steps": 1, "wya": 5})
    with pytest.raises(InputError, match="unknown option 'slotz'"):
        parse(FewShotConfig, {"steps": 1, "model": {"slotz": 5}})


@pytest.mark.parametrize("length", [{}, {"steps": 5, "minutes": 1.0}])
def test_exactly_one_length(length):
    with pytest.raises(InputError, match="give exactly one of them"):
        parse(FewShotConfig, length)


@pytest.mark.parametrize("length", [{"steps": 0}, {"minutes": -1.0}])
def test_the_length_must_be_positive(length):
    with pytest.raises(InputError, match="the length must be positive"):
        parse(FewShotConfig, length)


def test_values_out_of_range_are_refused():
    with pytest.raises(InputError, match="got shot=0; it must be at least 1"):
        parse(FewShotConfig, {"steps": 1, "shot": 0})
    with pytest.raises(InputError, match="got control='luck'; choose from"):
        parse(FewShotConfig, {"steps": 1, "control": "luck"})
    with pytest.raises(InputError, match="none negative"):
        parse(FewShotConfig, {"steps": 1, "shares": [-1, 1, 1]})
    with pytest.raises(InputError, match="got preset='best'; choose from"):
        parse(FewShotConfig, {"steps": 1, "preset": "best"})


@pytest.mark.parametrize("control", CONTROLS["fastslow", "default"][1:])
def test_each_control_changes_the_model(control):
    plain = FewShotConfig(steps=1).model_config()
    changed = FewShotConfig(steps=1, control=control).model_config()
    assert isinstance(changed, ModelConfig)
    assert changed != plain


def test_each_support_example_has_a_slot_in_the_default_preset():
    assert FewShotConfig(steps=1, way=20, shot=5).model_config().num_slots > 100


def test_names_tell_runs_apart():
    names = {
        FewShotConfig(steps=1, **options).run_name()
        for options in ({}, {"way": 20}, {"seed": 1}, {"control": "zero_read"}, {"method": "nmn"}, {"preset": "paper"})
    }
    assert len(names) == 6
    assert FewShotConfig(steps=1, name="mine").run_name() == "mine"


YAML = """
way: 7
model: {num_slots: 9, channels: [4, 8], similarity: dot}
rates: [2e-3, 1E+3, .5, 1., -1.5e-07]
name: Glyphen é
numbers: [0, -3, 1_000, 0x1F, 0b101]
texts: [1:30, 2020-01-01, 1.2.3, "010", -, .]
others: [null, ~, true, yes]
"""
READ = {
    "way": 7, "model": {"num_slots": 9, "channels": [4, 8], "similarity": "dot"},
    "rates": [0.002, 1000.0, 0.5, 1.0, -1.5e-07], "name": "Glyphen é", "numbers": [0, -3, 1000, 31, 5],
    "texts": ["1:30", "2020-01-01", "1.2.3", "010", "-", "."], "others": [None, None, True, True],
}  # fmt: skip


def test_yaml(tmp_path):
    path = tmp_path / "options.yaml"
    path.write_text(YAML.replace("-, .]", "'-', .]"), encoding="utf-8")
    assert load_config(path) == READ
    assert load_config(str(path)) == READ
    assert repr(load_config(path)) == repr(READ)
    with pytest.raises(InputError, match=r"there is no file .*missing\.yaml"):
        load_config(tmp_path / "missing.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- way\n", "holds list; a mapping"),
        ("", "holds NoneType; a mapping"),
        ("way: [\n", "line 2 cannot be read as YAML"),
        ("way: 5\nshot: 1\nway: 6\n", "line 3 cannot be read as YAML: 'way' is given twice; delete one of them"),
        ("model:\n  dim: 5\n  dim: 5\n", "line 3 cannot be read as YAML: 'dim' is given twice"),
        ("seed: 010\n", "line 1 cannot be read as YAML: '010' begins with 0; write 10 or 8"),
        ("seeds: [1, -0_17]\n", "'-0_17' begins with 0; write 17 or 15"),
        ("seed: 09\n", "'09' begins with 0; write 9"),
        ("a: &a [x]\nb: *a\n", "line 1 cannot be read as YAML: an alias, an anchor or a tag; write the value out"),
        ("a: !!python/object/apply:os.system [ls]\n", "an alias, an anchor or a tag"),
        ("a: !!int x\n", "an alias, an anchor or a tag"),
        ("? [a]\n: 1\n", "cannot be read as YAML"),
        ("a: 1\n---\nb: 2\n", "cannot be read as YAML"),
        ("a: \x07\n", "cannot be read as YAML"),
        ("a: " + "9" * 5000, "cannot be read as YAML"),
        ("a: " + "[" * 20_000, "is nested too deep"),
        ("a: " + "{b: " * 5000, "is nested too deep"),
        ("- " * 20_000, "is nested too deep"),
        ("a: " + "x" * 2**17, "is larger than 0.0625 MiB"),
    ],
    ids=range(19),
)
def test_what_changes_its_value_behind_the_readers_back_is_refused(tmp_path, text, message):
    path = tmp_path / "options.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"options\.yaml.* {re.escape(message)}") as refusal:
        load_config(path)
    assert len(str(refusal.value)) < 500


def test_options_that_are_no_utf_8_are_refused_by_name(tmp_path):
    (tmp_path / "options.yaml").write_bytes(b"name: \xe9\n")
    with pytest.raises(InputError, match=r"options\.yaml is no text in UTF-8"):
        load_config(tmp_path / "options.yaml")


def test_no_bomb_of_aliases_goes_off(tmp_path):
    rows = [
        "a0: &a0 [x, x, x, x, x, x, x, x, x]",
        *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)),
    ]
    (tmp_path / "options.yaml").write_text("\n".join(rows))
    with pytest.raises(InputError, match="an alias, an anchor or a tag"):
        load_config(tmp_path / "options.yaml")


@FUZZ
@given(damaged(YAML.encode()))
def test_damaged_yaml_is_refused_or_read(tmp_path, content):
    path = tmp_path / "options.yaml"
    path.write_bytes(content)
    values, message = attempt(load_config, path)
    if values is None:
        assert "options.yaml" in message
        assert len(message) < 500
    else:
        options, message = attempt(parse, FewShotConfig, values)
        assert options is not None or message


@FUZZ
@given(
    st.text()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.lists(st.integers())
)
def test_a_value_on_the_command_line_is_read_back_as_it_was(value):
    try:
        back = read_value(write_value(value))
    except InputError:
        assert not value.isprintable()  # YAML has no control characters
    else:
        assert back == value
        assert type(back) is type(value)


@pytest.mark.parametrize(
    ("value", "text"), [("stream", "stream"), ("true", '"true"'), ("5", '"5"'), ((4, 8), "[4, 8]"), (1e-5, "1e-05")]
)
def test_values_are_written_as_bare_as_they_can_be(value, text):
    assert write_value(value) == text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"way": 1}, "got way=1; a task needs at least 2 classes"),
        ({"fit_weight": -1.0}, "got fit_weight=-1.0; it must not be negative"),
        ({"seed": 10**30}, "got seed=10+; it must be from 0 to"),
        ({"steps": None, "minutes": math.nan}, "got minutes=nan; it must be a finite number"),
        ({"shares": [math.nan, 1, 1]}, "got shares.0=nan; it must be a finite number"),
        ({"shot": 7, "model": {"num_slots": 34}}, "got 35 examples in a task; this model's memory holds 34"),
        ({"model": {"num_slots": 10**13}}, "got num_slots=10+; it must be from 1 to 100000"),
        ({"model": {"projection": -4}}, "got projection=-4; it must be from 0"),
        ({"model": {"channels": [8, -1, 8]}}, r"got channels\[1\]=-1; it must be from 1"),
    ],
    ids=str,
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(InputError, match=message):
        parse(FewShotConfig, {"steps": 5, **options})
