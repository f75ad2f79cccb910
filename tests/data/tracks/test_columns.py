import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastslow.data.tracks.columns import entries, read_columns, refuse_kinds
from fastslow.errors import InputError
from mutations import FUZZ, attempt, damage

GOOD = 'id,x,note,y,"kind"\n7,1.5,"no number",2,"bike"\n'


def write(tmp_path, text, name="own.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(path, **changes):
    return read_columns(path, **({"numbers": ("x", "y"), "texts": ("kind",)} | changes))


def test_columns_are_found_by_name_and_others_may_hold_anything(tmp_path):
    table = read(write(tmp_path, GOOD + "8,-3e1,,+.25, foot \n\n7,0,,1,bike"))
    assert list(table.numbers) == ["x", "y"]
    assert table.numbers["x"].tolist() == [1.5, -30, 0]
    assert table.numbers["y"].tolist() == [2, 0.25, 1]
    assert table.texts["kind"].values == ("bike", "foot")
    assert table.texts["kind"].codes.tolist() == [0, 1, 0]
    assert table.lines.tolist() == [2, 3, 5]


def test_only_numbers_or_only_texts_and_the_same_column_as_both(tmp_path):
    path = write(tmp_path, GOOD)
    assert read(path, texts=()).texts == {}
    assert read(path, numbers=()).numbers == {}
    both = read(path, numbers=("id",), texts=("id",))
    assert (both.numbers["id"].tolist(), both.texts["id"].values) == ([7.0], ("7",))


def test_optional_columns(tmp_path):
    path = write(tmp_path, GOOD)
    table = read(path, numbers=("x", "t"), texts=("kind", "site"), optional=("x", "t", "site"))
    assert (list(table.numbers), list(table.texts)) == (["x"], ["kind"])


@pytest.mark.parametrize("delimiter", [",", ";", "\t", " ", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_delimiters_line_ends_and_marks(tmp_path, delimiter, end, mark):
    lines = [["x", "kind", "y"], ["1", '"é"', "2"], ["3", "b", "4"]]
    text = end.join(delimiter.join(line) for line in lines)
    table = read(write(tmp_path, mark + text.encode()), delimiter=delimiter)
    assert table.numbers["y"].tolist() == [2, 4]
    assert table.texts["kind"].values == ("b", "é")
    assert table.lines.tolist() == [2, 3]


def test_names_given_in_place_of_a_first_line(tmp_path):
    table = read(write(tmp_path, '1 2 "a"\n3 4 "b"\n'), delimiter=" ", header=("x", "y", "kind"))
    assert table.numbers["x"].tolist() == [1, 3]
    assert table.lines.tolist() == [1, 2]


def test_every_value_may_stand_in_quotation_marks(tmp_path):
    table = read(write(tmp_path, '"x","y","kind"\n"1.5","-2","a"\n3,"4e1",b\n'))
    assert table.numbers["x"].tolist() == [1.5, 3.0]
    assert table.numbers["y"].tolist() == [-2.0, 40.0]


TOP = "x,y,kind\n1,2,a\n"
BAD = {
    "empty": ("", "is empty"),
    "blank": (" \n\r\n", "is empty"),
    "first line only": ("x,y,kind\n\n", "no rows below its first line"),
    "no such column": ("x,z,kind\n1,2,a\n", r"no column 'y', but \['x', 'z', 'kind'\]; name it so"),
    "column twice": ("x,y,x,kind\n1,2,3,a\n", "two columns named 'x'; rename"),
    "wrong delimiter": ("x;y;kind\n1;2;a\n", r"no column 'x', but .*commas \(they look parted by semicolons\)"),
    "cut short": (
        TOP + "\n3,4",
        "line 4: got 2 columns; 3, parted by commas, were expected: the file is cut short, copy",
    ),
    "too many": (TOP + "3,4,5,b\n", "line 3: got 4 columns; 3, parted by commas"),
    "one more, one fewer": (TOP + "3,4,5,b\n6,b\n", "line 3: got 4 columns; 3, .*: mend the line, or remove it"),
    "text for a number": (TOP + "3,4,b\n5,six,b\n", "line 4: got y='six'; a finite number.*: mend the line"),
    "nothing for a number": (TOP + ",4,b\n", "line 3: got x=''; a finite number"),
    "number in half a quotation": (TOP + '"3,4,b\n', "line 3: got x='\"3'; a finite number"),
    "text in quotes for a number": (TOP + '"six",4,b\n', "line 3: got x='\"six\"'; a finite number"),
    "other digits": (TOP + "\u0663,4,b\n", "line 3: got x='\u0663'; a finite number"),
    "underscore": (TOP + "3_0,4,b\n", "line 3: got x='3_0'; a finite number"),
    "NaN": (TOP + "3,nan,b\n", "line 3: got y='nan'; a finite number"),
    "infinity": (TOP + "-inf,4,b\n", "line 3: got x='-inf'; a finite number"),
    "too large for a float": (TOP + "3,9e999,b\n", "line 3: got y='9e999'; a finite number"),
    "no text": (TOP + "3,4,\n", "line 3: got kind=''; a text of 1 to 100 bytes"),
    "quotation mark": (TOP + '3,4,"b\n', "line 3: got kind='\"b'; a text of 1 to 100 bytes without quotation marks"),
    "long text": (TOP + "3,4," + "é" * 51 + "\n", "line 3: got kind='é.*; a text of 1 to 100 bytes"),
    "no UTF-8": (TOP.encode() + b"3,4,\xe9\n", "line 3, is no text in UTF-8 .*; save it as UTF-8"),
    "UTF-16": (TOP.encode("utf-16"), "line 1, is no text in UTF-8"),
    "binary": (TOP + "3\0,4,b\n", r"line 3, is no text in UTF-8 \(a control character\)"),
    "control character for a space": (TOP + "3\x1c,4,b\n", "line 3, is no text"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_are_named_with_the_line(tmp_path, kind):
    content, message = BAD[kind]
    with pytest.raises(InputError, match=message) as caught:
        read(write(tmp_path, content))
    assert "own.csv" in str(caught.value)


def test_no_file_a_folder_and_a_file_that_is_too_large(tmp_path):
    with pytest.raises(InputError, match=r"there is no file .*own\.csv"):
        read(tmp_path / "own.csv")
    with pytest.raises(InputError, match="is a folder"):
        read(tmp_path)
    with pytest.raises(InputError, match=r"own\.csv is larger than .* the most that is read"):
        read(write(tmp_path, TOP), max_bytes=10)


def test_the_bound_holds_without_reading(tmp_path):
    path = write(tmp_path, TOP)
    with path.open("rb+") as file:
        file.truncate(2**34)
    with pytest.raises(InputError, match="larger than 256 MiB"):
        read(path)


def test_unknown_delimiter(tmp_path):
    with pytest.raises(InputError, match="got delimiter=':'; choose from"):
        read(write(tmp_path, TOP), delimiter=":")


def test_whole_numbers(tmp_path):
    table = read(write(tmp_path, "x,y,kind\n1,2,a\n3,2.5,b\n-1,1e300,c\n"))
    with pytest.raises(InputError, match=r"own\.csv, line 3: got y=2.5; a whole number from 0 to 9007199254740992 was"):
        table.whole("y")
    with pytest.raises(InputError, match="line 4: got x=-1; a whole number from 0 to 9 was expected: mend the line"):
        table.whole("x", most=9)
    assert table.whole("x", least=-5).tolist() == [1, 3, -1]


def test_refusal_of_a_row(tmp_path):
    table = read(write(tmp_path, "x,y,kind\n1,2,a\n3,4,b\n"))
    table.refuse("x", np.zeros(2, bool), "anything")
    with pytest.raises(InputError, match=r"own\.csv, line 3: got kind='b'; an a was expected: mend the line, or"):
        table.refuse("kind", np.array([False, True]), "an a")


def test_entries_of_a_folder(tmp_path):
    for name in ("b", "a", ".hidden"):
        (tmp_path / name).touch()
    assert [entry.name for entry in entries(tmp_path, "letters")] == ["a", "b"]
    for path in (tmp_path / "none", tmp_path / "a"):
        with pytest.raises(InputError, match=f"{path.name} is not a folder; give one that holds letters"):
            entries(path, "letters")
    with pytest.raises(InputError, match="cannot be read"):
        entries("a\0b", "letters")


@pytest.mark.parametrize("kinds", ["bike", (), ("foot", "bkie")])
def test_kinds(kinds):
    with pytest.raises(InputError, match="in kinds; give a list of one or more of bike, foot"):
        refuse_kinds(kinds, {"foot", "bike"})


@FUZZ
@given(
    rows=st.lists(
        st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.text("abé ", min_size=1, max_size=9)),
        min_size=1, max_size=9,
    ),
    delimiter=st.sampled_from(",;\t|"),
)  # fmt: skip
def test_what_is_written_is_read(tmp_path, rows, delimiter):
    rows = [(number, text) for number, text in rows if text.strip()] or [(0.0, "a")]
    text = "\n".join(delimiter.join(line) for line in [("t", "n"), *((text, repr(number)) for number, text in rows)])
    table = read_columns(write(tmp_path, text), numbers=("n",), texts=("t",), delimiter=delimiter)
    assert table.numbers["n"].tolist() == [number for number, _ in rows]
    values, codes = table.texts["t"]
    assert [values[code] for code in codes] == [text.strip() for _, text in rows]


@FUZZ
@given(st.randoms(use_true_random=False))
def test_damaged_files_are_refused_or_read_line_by_line(tmp_path, random):
    lines = [b"x,kind,y", *(b"%d,%s,%d.5" % (k, b"ab"[k % 2 : k % 2 + 1], -k) for k in range(8))]
    content = damage(b"\n".join(lines), random)
    table, message = attempt(read, write(tmp_path, content))
    if table is None:
        assert "own.csv" in message
        return
    kept = content.replace(b"\r", b"\n").split(b"\n")
    values, codes = table.texts["kind"]
    for row, line in enumerate(table.lines):
        x, kind, y = kept[line - 1].split(b",")
        assert (table.numbers["x"][row], table.numbers["y"][row]) == (float(x), float(y))
        assert values[codes[row]] == kind.decode().strip().strip('"').strip()


def test_speed(tmp_path):
    line = ",".join(["7", "12.34567", "cyclist", *["-1.23456"] * 10])
    path = write(tmp_path, "id,x,kind," + ",".join(f"c{k}" for k in range(10)) + ("\n" + line) * 200_000)
    start = time.process_time()
    table = read_columns(path, numbers=("id", "x"), texts=("kind",))
    assert time.process_time() - start < 10
    assert len(table.lines) == 200_000


@pytest.mark.parametrize(
    ("bound", "most", "text", "message"),
    [
        ("lines.MAX_LINES", 2, TOP + "3,4,b\n", r"own\.csv has 3 lines; at most 2 are read: divide it"),
        ("columns._MAX_COLUMNS", 2, TOP, r"own\.csv has 3 columns; at most 2 are read"),
        ("columns._MAX_VALUES", 3, TOP + "3,4,b\n", r"own\.csv holds over 3 values"),
        ("columns._MAX_TEXTS", 1, TOP + "3,4,b\n", r"own\.csv holds over 1 different texts in kind"),
    ],
)
def test_files_that_take_more_memory_than_their_size_tells_are_refused(
    tmp_path, monkeypatch, bound, most, text, message
):
    read(write(tmp_path, text))
    monkeypatch.setattr(f"fastslow.data.tracks.{bound}", most)
    with pytest.raises(InputError, match=message):
        read(write(tmp_path, text))


@pytest.mark.parametrize("block", [1, 2, 3, 7, 50])
def test_a_file_is_the_same_in_whatever_pieces_it_is_looked_at(tmp_path, monkeypatch, block):
    text = TOP + "".join(f"{k},{2 * k},{'é𝄞'[k % 2]}{k % 3}\n" for k in range(40))
    whole = read(write(tmp_path, text))
    monkeypatch.setattr("fastslow.data.tracks.lines._BLOCK", block)
    monkeypatch.setattr("fastslow.data.tracks.columns._ROWS", block)
    pieces = read(write(tmp_path, text))
    assert np.array_equal(pieces.numbers["y"], whole.numbers["y"])
    assert pieces.texts["kind"].values == whole.texts["kind"].values
    assert np.array_equal(pieces.texts["kind"].codes, whole.texts["kind"].codes)
    for bad in (b"3,4,\xf0\x9d\x84", b"3,4,\xe9\n", b"3,\x0b4,b\n", b"3,4,\xff\n"):
        with pytest.raises(InputError, match=r"line 44, is no text in UTF-8"):
            read(write(tmp_path, text.encode() + b"1,2,a\n" + bad))
