"""The page holds the numbers, needs nothing from outside, and bears runs that are not finished."""

import base64
import dataclasses
import json
import re
from html.parser import HTMLParser

import pytest
import torch

from fastslow.cli import main
from fastslow.data import registry as sources
from fastslow.errors import InputError
from fastslow.methods import build_method
from fastslow.methods.config import preset
from fastslow.methods.files import TrainedModel, save_model
from fastslow.protocol.result import Cell, Interval, Provenance, Result, write_result
from fastslow.report import html
from fastslow.report.page import write_report
from result_sample import GRADIENTS, METRICS, fewshot_result, measured

CONFIG = {"data": "glyphs", "way": 5, "shot": 1, "seed": 3, "minutes": 2.0, "steps": None, "augment": False}
#: Enough for the tests that change the result in a file.
RESULT = dataclasses.asdict(fewshot_result(measured()))


@pytest.fixture
def run(tmp_path):
    """A run folder without a model."""
    folder = tmp_path / "my<run>"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in METRICS))
    (folder / "result.json").write_text(json.dumps(RESULT))
    return folder


@pytest.fixture
def small_glyphs(monkeypatch):
    monkeypatch.setattr(sources, "GLYPH_CLASSES", (6, 6, 6))


@pytest.fixture
def undrawn(monkeypatch):
    """A page whose pictures are empty: what is drawn, and that it can be, others test."""
    data = base64.b64encode(b"\x89PNG").decode()
    empty = f'<img src="data:image/png;base64,{data}">'
    monkeypatch.setattr(html, "picture", lambda figure, caption: empty + html.text(caption))


def page_of(tmp_path, *paths):
    out = tmp_path / "out" / "page.html"
    write_report(list(paths), out)
    return out.read_text(encoding="utf-8")


def save_small_model(folder, *, method="fastslow", **training):
    sizes = {"channels": (4, 4, 4), "projection": 8, "dim": 8, "predictor_hidden": 4}
    model = preset("default", method=method, **sizes)
    details = {"training": {"data": "glyphs", **training}}
    trained = TrainedModel(build_method(model).eval(), model, details)
    save_model(folder / "model.safetensors", trained)


def pictures(page):
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert all(base64.b64decode(data).startswith(b"\x89PNG") for data in found)
    return len(found)


class Checker(HTMLParser):
    """Tags that are opened and closed in order; what a browser would fetch."""

    def __init__(self):
        super().__init__()
        self.open, self.fetched = [], []

    def handle_starttag(self, tag, attrs):
        self.fetched += [value for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_holds_the_numbers_of_the_result(tmp_path, run):
    page = page_of(tmp_path, run)
    for expected in (
        "91.23 ± 0.57 %", "20.11 ± 0.23 %", "93.22 ± 0.34 %", "1234", "abc123def", "vinyals", "2020",
        "non-transductive", "torch 9.8.7", "889 MiB", "4.0 min", "12.0 s", "5-way 1-shot, glyphs test classes",
        "fast path off",
    ):  # fmt: skip
        assert expected in page, expected
    assert "no result yet" not in page
    assert pictures(page) == 2


def test_page_needs_nothing_from_outside_and_is_well_formed(tmp_path, run, small_glyphs):
    save_small_model(run)
    page = page_of(tmp_path, run)
    assert pictures(page) == 3
    assert "http://" not in page
    assert "https://" not in page
    assert "url(" not in page
    assert str(tmp_path) not in page
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert all(reference.startswith("data:") for reference in checker.fetched)


def test_everything_from_outside_is_escaped(tmp_path, run):
    page = page_of(tmp_path, run)
    assert "my&lt;run&gt;" in page
    assert "<run>" not in page
    name = "<script>'\"&$x$[/x]|"
    write_result(run / "result.json", fewshot_result(measured(data=name, control=name, command=name, part=name)))
    (run / "config.json").write_text(json.dumps({name: name, "nested": {name: [name]}}))
    (run / "metrics.jsonl").write_text(json.dumps(METRICS[0] | {"stage": name}) + "\n")
    page = page_of(tmp_path, run, run)
    assert "<script" not in page
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert html.text("a\ud800") == "a?"


def test_a_very_long_name_is_cut_in_pictures_only(tmp_path, run):
    write_result(run / "result.json", fewshot_result(measured(method="m" * 200)))
    page = page_of(tmp_path, run)
    assert "m" * 200 in page
    assert pictures(page) == 2


@pytest.mark.parametrize("training", [[], "x", {"data": 3, "data_dir": ["y"], "split": None}, None])
def test_a_model_that_does_not_say_what_it_was_trained_on_is_shown_on_glyphs(
    tmp_path, run, small_glyphs, training, monkeypatch
):
    monkeypatch.setattr(html, "picture", lambda figure, caption: type(figure).__name__)
    save_small_model(run)
    described = json.loads((run / "model.json").read_text())
    described["details"]["training"] = training
    (run / "model.json").write_text(json.dumps(described))
    assert "MemoryAtWork" in page_of(tmp_path, run)


def test_data_with_an_impossible_path_are_replaced_by_glyphs(tmp_path, run, small_glyphs, monkeypatch):
    monkeypatch.setattr(html, "picture", lambda figure, caption: type(figure).__name__)
    save_small_model(run, data="x" * 5000)
    assert "made-up glyphs are shown instead" in page_of(tmp_path, run)


def test_page_of_an_unfinished_run_says_so(tmp_path, run, undrawn):
    (run / "result.json").unlink()
    page = page_of(tmp_path, run)
    assert "no result yet (37 % trained)" in page
    assert "How this was measured" not in page
    assert pictures(page) == 1
    (run / "metrics.jsonl").unlink()
    page = page_of(tmp_path, run)
    assert "not yet validated" in page
    assert "Nothing has been logged" in page
    assert pictures(page) == 0


def test_gradients_are_shown_where_there_are_any(tmp_path, run, undrawn):
    assert "No gradients were predicted" in page_of(tmp_path, run)
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(METRICS[0] | {"stage": "memory", "gradients": GRADIENTS}) + "\n")
    page = page_of(tmp_path, run)
    assert "No gradients were predicted" not in page
    assert pictures(page) == 3


def test_line_that_is_being_written_is_left_out(tmp_path, run, undrawn):
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"stage": "enc')
    page_of(tmp_path, run)
    with (run / "metrics.jsonl").open("a") as file:
        file.write("\n" + json.dumps(METRICS[0]) + "\n")
    with pytest.raises(InputError, match=r"metrics\.jsonl has a line"):
        page_of(tmp_path, run)


def test_memory_is_shown_on_glyphs_where_the_data_are_missing(tmp_path, run, undrawn, small_glyphs):
    save_small_model(run, data="omniglot", data_dir=str(tmp_path / "nowhere"))
    page = page_of(tmp_path, run)
    assert "made-up glyphs are shown instead" in page
    assert pictures(page) == 3


def test_no_memory_picture_of_a_method_without_fast_path_or_of_half_a_model(tmp_path, run, undrawn):
    save_small_model(run, method="protonet")
    page = page_of(tmp_path, run)
    assert "does not learn by a fast path" in page
    assert pictures(page) == 2
    (run / "model.json").unlink()  # a copy for people: nothing is missed
    assert "does not learn by a fast path" in page_of(tmp_path, run)
    content = (run / "model.safetensors").read_bytes()
    (run / "model.safetensors").write_bytes(content[: len(content) // 2])
    assert "No picture of the memory" in page_of(tmp_path, run)


def test_several_sources_are_set_side_by_side(tmp_path, run, undrawn):
    other = tmp_path / "other.json"
    write_result(other, fewshot_result(measured(0.5, control="zero_read")))
    page = page_of(tmp_path, run, other)
    assert "Side by side" in page
    assert "50.00 ± 0.57 %" in page
    assert "zero_read" in page
    assert pictures(page) == 4


def test_result_of_another_kind_is_shown_in_its_unit(tmp_path):
    path = tmp_path / "error.json"
    numbers = {"displacement": Interval(0.321, 0.01, 9, "m"), "misses": Interval(0.25, None, 1)}
    write_result(path, Result(Cell("tracks", "gru", "eth", {"control": "<b>"}, 0), numbers, Provenance("run it", {})))
    page = page_of(tmp_path, path)
    for expected in ("displacement", "0.321 ± 0.010 m", "25.00 %", "run it", "&lt;b&gt;"):
        assert expected in page
    assert pictures(page) == 0
    assert "How this was measured" not in page


def test_wrong_paths_are_refused_by_name_and_nothing_is_written(tmp_path, run):
    empty, broken, listed = tmp_path / "empty", tmp_path / "broken.json", tmp_path / "list.json"
    flat = tmp_path / "flat.json"
    empty.mkdir()
    broken.write_text("{")
    listed.write_text("[]")
    flat.write_text(json.dumps({"accuracy_mean": 0.5, "accuracy_ci95": 0.1}))
    for path, message in ((tmp_path / "none", "there is no"), (empty, "no run folder"), (broken, "no JSON"),
                          (listed, "holds a list"), (flat, "this version reads schema 2")):  # fmt: skip
        with pytest.raises(InputError, match=message) as error:
            page_of(tmp_path, run, path)
        assert str(path) in str(error.value)
    with pytest.raises(InputError, match="cannot be read"):
        page_of(tmp_path, run, tmp_path / ("x" * 5000))
    with pytest.raises(InputError, match="nothing to report"):
        page_of(tmp_path)
    assert not (tmp_path / "out").exists()


def test_command_is_that_of_the_result_or_of_the_options(tmp_path, run, undrawn):
    assert "<pre>fastslow train fewshot --seed 3</pre>" in page_of(tmp_path, run)
    (run / "result.json").unlink()
    assert "<pre>" not in page_of(tmp_path, run)
    (run / "config.json").write_text(json.dumps(CONFIG | {"command": "fastslow & more"}))
    assert "<pre>fastslow &amp; more</pre>" in page_of(tmp_path, run)


def test_command_line_verb(tmp_path, run, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main(["report", str(run)])
    assert capsys.readouterr().out == "report.html\n"
    assert "91.23" in (tmp_path / "report.html").read_text(encoding="utf-8")
    with pytest.raises(SystemExit) as stop:
        main(["report", str(tmp_path / "none")])
    assert stop.value.code == 2
    assert "none" in capsys.readouterr().err


def test_reading_a_model_leaves_the_random_numbers_alone(tmp_path, run, undrawn, small_glyphs):
    save_small_model(run)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert pictures(page_of(tmp_path, run)) == 3
    assert torch.equal(torch.get_rng_state(), before)
