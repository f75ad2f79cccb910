"""A result is refused where it is made and where it is read, by name, and comes back as it was written."""

import dataclasses
import json
import math
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastslow.errors import InputError
from fastslow.protocol.checks import LARGEST, check_number, check_plain, check_text, refuse_large
from fastslow.protocol.result import LARGEST_FILE, Cell, Interval, Provenance, Result, read_result, write_result
from result_sample import fewshot_result, measured

PLAIN = dataclasses.asdict(fewshot_result(measured()))
#: Values that no number of a result can have.
NO_NUMBERS = ["0.5", math.nan, math.inf, -math.inf, True, None, [0.5], {"a": 1}, 98.7, -0.1, 10**400]


def changed(path, value):
    """The sample result with one value changed, at names joined by dots."""
    content = json.loads(json.dumps(PLAIN))
    *names, last = path.split(".")
    at = content
    for name in names:
        at = at[name]
    at[last] = value
    return content


def read(tmp_path, content):
    path = tmp_path / "some result.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return read_result(path)


def test_a_result_comes_back_as_it_was_written(tmp_path):
    result = fewshot_result(measured(data="Zeichen ü"))
    write_result(tmp_path / "a.json", result)
    assert read_result(tmp_path / "a.json") == result


@pytest.mark.parametrize("value", NO_NUMBERS)
@pytest.mark.parametrize("name", ["accuracy", "protonet"])
def test_an_accuracy_that_is_no_share_is_refused_by_name(tmp_path, name, value):
    with pytest.raises(
        InputError, match=r"some result\.json.*(mean=.*a number (from 0 to 1|was)|is no number)"
    ) as error:
        read(tmp_path, changed(f"numbers.{name}.mean", value))
    assert len(str(error.value)) < 500


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("numbers.accuracy.half_width", "0.1", "half_width='0.1'; a number was expected"),
        ("numbers.accuracy.half_width", -0.1, "half_width=-0.1; a number from 0 to 1"),
        ("numbers.accuracy.count", 10.5, "count=10.5; a whole number"),
        ("numbers.accuracy.count", 0, "count=0; a whole number from 1"),
        ("numbers.accuracy.count", True, "count=True"),
        ("numbers.accuracy.unit", 3, "unit=3; text"),
        ("numbers.accuracy", 0.9, "interval=0.9; an object"),
        ("numbers.accuracy.maen", 0.9, "'maen' in interval"),
        ("numbers", [], r"numbers=\[\]"),
        ("numbers", {}, "got no numbers"),
        ("numbers", {"": PLAIN["numbers"]["accuracy"]}, "a number's name=''"),
        ("cell.seed", "0", "seed='0'; a whole number"),
        ("cell.seed", -1, "seed=-1"),
        ("cell.method", None, "method=None; text"),
        ("cell.data", "x" * 300, "text of 1 to 255 characters"),
        ("cell.options", [], r"options=\[\]; names and values"),
        ("cell.options.tasks", math.nan, "NaN is no number"),
        ("cell", None, "cell=None; an object"),
        ("provenance.seconds", "4", "seconds='4'"),
        ("provenance.versions", {"torch": 2}, r"versions\.torch=2; text"),
        ("provenance.command", None, "command=None"),
        ("provenance.protocol", "none", "protocol='none'"),
        ("schema", "2", "schema='2'; this version reads schema 2"),
        ("schema", True, "schema=True"),
        ("schema", 2.0, r"schema=2\.0"),
        ("schema", 1, "schema=1"),
        ("more", 1, "'more' in result"),
    ],
)  # fmt: skip
def test_values_that_no_result_has_are_refused_by_name(tmp_path, path, value, message):
    with pytest.raises(InputError, match=message) as error:
        read(tmp_path, changed(path, value))
    assert "some result.json" in str(error.value)


@pytest.mark.parametrize("missing", ["cell", "numbers", "provenance", "schema"])
def test_a_result_with_a_part_missing_is_refused(tmp_path, missing):
    content = {name: value for name, value in PLAIN.items() if name != missing}
    with pytest.raises(InputError, match=missing):
        read(tmp_path, content)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "1", "\ud800".encode("utf-8", "surrogatepass"), '{"a": ' * 5000, "[" * 100_000,
     '{"cell": {"options": ' + '{"a": ' * 500 + "1" + "}" * 500 + "}}", '{"schema": ' + "9" * 5000 + "}"],
    ids=range(10),
)  # fmt: skip
def test_what_is_no_json_of_a_result_is_refused_by_name(tmp_path, text):
    path = tmp_path / "some result.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=r"some result\.json") as error:
        read_result(path)
    assert len(str(error.value)) < 500


def test_a_huge_file_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    with pytest.raises(InputError, match=r"huge\.json has .* bytes"):
        read_result(path)
    with pytest.raises(InputError, match="no regular file"):
        refuse_large(tmp_path, 10)
    with pytest.raises(InputError, match="cannot be read"):
        refuse_large(tmp_path / ("x" * 5000), 10)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes on this system")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(InputError, match="no regular file"):
        read_result(tmp_path / "pipe.json")


def test_a_number_that_is_no_share_has_a_unit():
    assert Interval(3.5, None, 2, "m").mean == 3.5
    with pytest.raises(InputError, match=r"mean=3\.5"):
        Interval(3.5, None, 2)
    with pytest.raises(InputError, match="mean"):
        Interval(2 * LARGEST, None, 2, "m")


def test_whole_means_written_by_hand_are_numbers(tmp_path):
    mean = read(tmp_path, changed("numbers.accuracy.mean", 1)).numbers["accuracy"].mean
    assert mean == 1.0
    assert isinstance(mean, float)


def test_values_that_json_does_not_give_back_are_refused():
    for value in ({"a": object()}, {1: 2}, {"a": {"b": math.inf}}, {"a": "\ud800"}, {"a": "x" * 5000}, [1], None):
        with pytest.raises(InputError):
            check_plain("options", value)
    deep = {"a": 1}
    for _ in range(2000):
        deep = {"a": deep}
    with pytest.raises(InputError, match="nested more than"):
        check_plain("options", deep)
    check_plain("options", {"a": [1, 2.5, None, True, "x", {"b": (1, 2)}]})
    with pytest.raises(InputError, match="text of 1"):
        check_text("name", "")
    with pytest.raises(InputError, match="a number from 0"):
        check_number("n", -1)


PLAIN_OPTIONS = st.dictionaries(
    st.text(max_size=5), st.integers() | st.text(max_size=5) | st.booleans() | st.none(), max_size=4
)


@given(PLAIN_OPTIONS, PLAIN_OPTIONS, st.integers(0, 3), st.integers(0, 3))
def test_keys_are_alike_only_for_like_cells_and_rows_only_but_for_the_seed(options, others, seed, other_seed):
    def cell(options, seed):
        try:
            return Cell("fewshot", "fastslow", "glyphs", options, seed)
        except InputError:
            return None

    one, other = cell(options, seed), cell(others, other_seed)
    if one is None or other is None:
        return
    same = json.dumps(options, sort_keys=True) == json.dumps(others, sort_keys=True)
    assert (one.row == other.row) == same
    assert (one.key == other.key) == (same and seed == other_seed)


def test_a_key_is_a_file_name_everywhere():
    cell = Cell("fewshot", "a/b", "Ü:\\$ " * 40, {"task": "é" * 80, "control": "none", "preset": "default"}, 7)
    assert len(cell.key.encode()) < 150
    assert all(sign.isascii() and (sign.isalnum() or sign in "_.+-") for sign in cell.key)
    assert cell.key.endswith("-seed7")
    assert "none" not in cell.key


def test_a_result_needs_numbers():
    with pytest.raises(InputError, match="no numbers"):
        Result(Cell("s", "m", "d", {}, 0), {}, Provenance("", {}))


def test_an_interval_of_measurements_is_their_mean_and_that_of_a_normal_one():
    found = Interval.of([1.0, 2.0, 4.0, 5.0], "m")
    assert (found.mean, found.count, found.unit) == (3.0, 4, "m")
    assert found.half_width == pytest.approx(1.96 * (10 / 3) ** 0.5 / 2)
    assert Interval.of([0.5]) == Interval(0.5, None, 1)
