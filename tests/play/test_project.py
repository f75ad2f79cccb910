"""What is taught in the page: changes, undo, files; and the games."""

from __future__ import annotations

import json

import pytest

from fastslow.play.page import ENGINE, PAGE
from play.javascript import needs_node, run_script

FILES = (*ENGINE, "project.js", "files.js", "challenges.js")
LIMITS = "const limits = { numClasses: 3, numSlots: 4, imageSize: 2 };"
#: Two classes, one of them with two drawings.
TAUGHT = f"""{LIMITS}
const drawn = (n) => Uint8Array.from([n, 0, 255, 1]);
let taught = EMPTY_PROJECT;
[["ka", 1], ["mo", 2], [" ka ", 3]].forEach(([name, n]) => (taught = withDrawing(taught, name, drawn(n), limits)));
"""
TAUGHT_BEGIN = '<script type="application/json" id="taught">'
pytestmark = needs_node


def test_files_are_loaded_in_an_order_that_names_each_once():
    assert set(FILES) < set(ENGINE + PAGE)


def test_a_saved_project_is_the_same_again(tmp_path):
    code = f"{TAUGHT} const again = fromFile(toFile(taught), limits); return [toFile(taught), toFile(again)];"
    first, second = run_script(tmp_path, FILES, code, None)
    assert first == second
    classes = json.loads(first)["classes"]
    assert [(known["name"], len(known["drawings"])) for known in classes] == [("ka", 2), ("mo", 1)]


def test_undo_goes_back_change_by_change(tmp_path):
    code = f"""{TAUGHT}
    const history = createHistory(EMPTY_PROJECT);
    history.apply(taught, "taught");
    history.apply(withoutClass(history.current, "ka"), "forgot");
    history.apply(renamed(history.current, "mo", "ra"), "renamed");
    const seen = [];
    while (true) {{
      seen.push([history.last, history.current.classes.map(({{ name }}) => name)]);
      if (history.last === null) return seen;
      history.undo();
    }}"""
    seen = run_script(tmp_path, FILES, code, None)
    assert seen == [["renamed", ["ra"]], ["forgot", ["mo"]], ["taught", ["ka", "mo"]], [None, []]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ('withDrawing(taught, "  ", drawn(1), limits)', "Give it a name first"),
        ('withDrawing(taught, "x".repeat(41), drawn(1), limits)', "too long"),
        ('withDrawing(withDrawing(taught, "a", drawn(1), limits), "b", drawn(1), limits)', "All 4 slots"),
        ('withDrawing(taught, "ra", drawn(1), {...limits, numClasses: 2})', "tells 2 classes apart"),
        ('renamed(taught, "ka", "mo")', "There is a class"),
        ('fromFile("{", limits)', "no saved project"),
        ('fromFile("null", limits)', "no saved project"),
        ('fromFile(JSON.stringify({format: "other", classes: []}), limits)', "no saved project"),
        ("fromFile(JSON.stringify({format: FILE_FORMAT, classes: [7]}), limits)", "class in that file is damaged"),
        (
            'fromFile(JSON.stringify({format: FILE_FORMAT, classes: [{name: "a", drawings: ["AA=="]}]}), limits)',
            "drawing in that file is damaged",
        ),
        (
            'fromFile(JSON.stringify({format: FILE_FORMAT, classes: [{name: "a", drawings: ["%"]}]}), limits)',
            "drawing in that file is damaged",
        ),
        ("fromFile(toFile(taught), {...limits, numSlots: 2})", "All 2 slots"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(tmp_path, call, message):
    assert message in run_script(tmp_path, FILES, f"{TAUGHT} return refused(() => {call});", None)


def test_games_ask_known_characters_by_other_drawings_and_strangers_by_none(tmp_path):
    code = """
    const glyphs = Array.from({ length: 30 }, (_, c) => [0, 1, 2].map((d) => [c, d]));
    return CHALLENGES.map((kind) => {
      const { project, rounds } = newGame(kind, glyphs);
      const shown = project.classes.map(({ drawings }) => drawings[0]);
      return { kind, shown, rounds: rounds.map(({ label, drawing }) => ({ label, drawing })) };
    });"""
    for game in run_script(tmp_path, FILES, code, None):
        kind, shown = game["kind"], game["shown"]
        assert len(shown) == kind["classes"] == len({c for c, _ in shown})
        assert len(game["rounds"]) == kind["rounds"]
        strangers = [asked for asked in game["rounds"] if asked["label"] == -1]
        assert len(strangers) == round(kind["strangers"] * kind["rounds"])
        for asked in game["rounds"]:
            character, drawing = asked["drawing"]
            assert drawing > 0
            known = [c for c, _ in shown]
            assert character not in known if asked["label"] == -1 else known[asked["label"]] == character


@pytest.mark.parametrize(
    ("pixels", "message"), [("() => 0.5", "nothing drawn"), ("(_, i) => (i * 7919) % 13 / 13", "cannot be told")]
)
def test_pictures_that_are_no_drawings_are_refused(tmp_path, pixels, message):
    image = f"{{ pixels: Float32Array.from({{ length: 400 }}, {pixels}), width: 20, height: 20 }}"
    assert message in run_script(tmp_path, FILES, f"return refused(() => prepare({image}, 28));", None)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("ka-1.png", "ka"), ("ka (2).png", "ka"), ("ka.old.png", "ka.old"), ("7.png", "7"), ("signs/mo_3.png", "mo"),
        ("signs/ka/1.png", "ka"), ("signs/deep/mo/scan-9.png", "mo"), (".hidden/x", "x"),
    ],
)  # fmt: skip
def test_a_picture_is_taught_under_its_folders_name_or_its_own(tmp_path, path, name):
    assert run_script(tmp_path, FILES, "return nameOfPicture(given);", path) == name


def test_pictures_of_a_folder_are_taken_in_order_and_nothing_else(tmp_path):
    code = """
    const file = ([path, type]) => ({ path, file: { type } });
    return picturesIn(given.map(file)).map(({ path }) => path);"""
    given = [
        ["a/2.png", "image/png"],
        ["a/1.jpg", "image/jpeg"],
        ["a/notes.txt", "text/plain"],
        ["a/.x.png", "image/png"],
    ]
    assert run_script(tmp_path, FILES, code, given) == ["a/1.jpg", "a/2.png"]


def test_a_page_gets_a_project_that_no_name_gets_out_of(tmp_path):
    page = f"<b>before{TAUGHT_BEGIN}null</script><i>after</script>"
    code = """
    const project = { classes: [{ name: "</script><b>", drawings: [Uint8Array.from([1, 2, 3, 4])] }] };
    return pageWith(given, project);"""
    made = run_script(tmp_path, FILES, code, page)
    before, _, rest = made.partition(TAUGHT_BEGIN)
    inside, _, after = rest.partition("</script>")
    assert (before, after) == ("<b>before", "<i>after</script>")
    assert json.loads(inside)["classes"][0]["name"] == "</script><b>"
