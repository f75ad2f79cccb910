"""A row is all runs that differ in the seed alone; what cannot be tabulated is refused by name."""

import dataclasses
import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from committed import committed
from fastslow.cli import main
from fastslow.errors import InputError
from fastslow.protocol.result import Cell, Interval, Provenance, Result, write_result
from fastslow.report.headline import MARKS, headline_table, renew
from fastslow.report.tables import (
    SERIES,
    accuracy_table,
    escape,
    interval_text,
    read_results,
    remarks,
    results_page,
    rows_of,
    title_of,
)
from result_sample import fewshot_result, measured

pytestmark = pytest.mark.xdist_group("results")

ROOT = Path(__file__).parents[2]


def result(accuracy, seed, **options):
    return fewshot_result(measured(accuracy, seed=seed, **options))


def rows(*results):
    """Rows of the table, as cells by column."""
    lines = [line for line in results_page(results).splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
    names, _, *rest = ([cell.strip() for cell in line[1:-1].split(" | ")] for line in lines)
    return [dict(zip(names, cells, strict=True)) for cells in rest]


def test_seeds_of_one_configuration_make_one_row():
    # Mean 0.92; standard deviation 0.04 / sqrt(2), over two seeds 0.02.
    (row,) = rows(result(0.94, 1), result(0.90, 0))
    assert row["accuracy, mean of seeds"] == "92.00 ± 2.00 (2)"
    assert row["each seed (95 % interval)"] == "90.00 ± 0.57, 94.00 ± 0.57"
    assert row["prototypes, same encoder"] == "93.22 ± 0.00 (2)"
    assert row["minutes"] == "4"


@pytest.mark.parametrize(
    ("other", "column"),
    [
        ({"steps": 20}, "length"), ({"steps": None, "minutes": 20.0}, "length"), ({"encoder": "runs/x"}, "encoder"),
        ({"fit_weight": 1.0}, "differs in"), ({"model": {"zero_read": True}}, "model"), ({"test": False}, "part"),
        ({"split": "lake"}, "differs in"), ({"train_on": "train+validation"}, "differs in"), ({"way": 20}, "task"),
        ({"shot": 5}, "task"), ({"method": "nmn"}, "method"), ({"preset": "paper"}, "preset"),
        ({"control": "zero_read"}, "control"), ({"data": "omniglot"}, "data"), ({"tasks": 17}, "differs in"),
        ({"learning_rates": [0.1, 0.1]}, "differs in"),
    ],
)  # fmt: skip
def test_runs_that_differ_in_anything_but_the_seed_stay_apart_and_look_so(other, column):
    both = rows(result(0.9, 0), result(0.8, 1, **other))
    assert sorted(row["accuracy, mean of seeds"] for row in both) == ["80.00 (1)", "90.00 (1)"]
    assert both[0][column] != both[1][column]


def test_options_by_which_like_rows_differ_are_named_with_their_values():
    both = rows(result(0.9, 0), result(0.8, 0, split="lake", tasks=17))
    assert {row["differs in"] for row in both} == {'split="vinyals", tasks=16', 'split="lake", tasks=17'}
    assert "differs in" not in rows(result(0.9, 0), result(0.9, 0, preset="paper"))[0]


@pytest.mark.parametrize("name", ["split_sha256", "episodes", "seed"])
def test_runs_measured_by_another_protocol_stay_apart(name):
    other = measured(0.8, seed=1) | {name: 7 if name != "split_sha256" else "of other classes"}
    both = rows(result(0.9, 0), fewshot_result(other))
    assert len(both) == 2
    assert f"protocol.{name}=" in both[0]["differs in"]


OPTIONS = {
    "model": [{}, {"dim": 8}, {"dim": 16}, {"zero_read": True}], "steps": [10, 100], "split": ["vinyals", "lake"],
    "test": [True, False], "tasks": [16, 17], "preset": ["default", "paper"], "control": ["none", "zero_read"],
    "method": ["fastslow", "nmn"], "encoder": [None, "runs/e-seed0", "pretrained:e"],
}  # fmt: skip
DRAWN = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in OPTIONS.items()})


@settings(max_examples=60, deadline=None)
@given(DRAWN, DRAWN, st.integers(0, 3), st.integers(0, 3))
def test_two_runs_are_in_one_row_just_if_they_differ_in_the_seed_alone(one, other, seed, other_seed):
    # An encoder of seed 0 is a run's own in seed 0 only.
    own = [(e, e == "runs/e-seed0" and s == 0) for e, s in ((one["encoder"], seed), (other["encoder"], other_seed))]
    pair = [result(0.5, seed, **one), result(0.5, other_seed, **other)]
    together = len(rows_of(pair)) == 1
    assert together == ({**one, "encoder": own[0]} == {**other, "encoder": own[1]})
    shown = results_page(pair).splitlines()
    assert len(set(shown)) == len([line for line in shown if line]) + 1


def test_rows_come_in_the_order_of_their_numbers():
    lengths = [row["length"] for row in rows(*(result(0.9, 0, steps=steps) for steps in (20000, 600, 6000)))]
    assert lengths == ["600steps", "6000steps", "20000steps"]


def test_rows_of_one_name_come_in_the_order_of_their_options_those_without_one_first():
    shares = [{"wrong_labels": 0.3}, {}, {"wrong_labels": 0.1}, {"wrong_labels": 0.2}]
    cells = [Cell("evaluate", "fastslow", "omniglot", {"task": "5w5s", **share}, 0) for share in shares]
    ordered = rows_of(Result(cell, {"accuracy": Interval(0.9, 0.1, 9)}, Provenance("x", {})) for cell in cells)
    assert [row[0].cell.options.get("wrong_labels") for row in ordered] == [None, 0.1, 0.2, 0.3]


def test_studies_have_tables_of_their_own_and_numbers_their_units():
    other = Result(Cell("tracks", "gru", "eth", {}, 0), {"error": Interval(0.321, 0.01, 9, "m")}, Provenance("x", {}))
    page = results_page([result(0.9, 0), other])
    assert "## tracks" in page
    assert "## fewshot" in page
    assert "0.321 m (1)" in page
    assert interval_text(Interval(0.5, None, 1)) == "50.00 %"
    assert interval_text(Interval(896.237, 44.194, 5, "of CV")) == "896 ± 44 of CV"
    assert interval_text(Interval(1.0024512, 0.00026149, 5, "of guessing")) == "1.00245 ± 0.00026 of guessing"
    assert interval_text(Interval(2.0, 0.0, 5, "m")) == "2 ± 0 m"


def test_long_series_are_for_figures_and_have_no_columns_unless_there_is_nothing_else():
    plain = result(0.9, 0)
    series = {f"norm, batch {k}": Interval(0.5, None, 1, SERIES[k % 2]) for k in range(9)}
    text = results_page([dataclasses.replace(plain, numbers={**plain.numbers, **series})])
    assert "90.00" in text
    assert "norm, batch" not in text
    assert "norm, batch 8" in results_page([dataclasses.replace(plain, numbers=series)])


def test_rows_differ_by_the_unit_of_a_number_and_not_by_its_absence():
    plain, other = result(0.9, 0), result(0.8, 0, split="lake")
    more = dataclasses.replace(other, numbers={**other.numbers, "far": Interval(0.5, None, 1, "m")})
    assert {row["differs in"] for row in rows(plain, more)} == {'split="vinyals"', 'split="lake"'}
    with_unit = dataclasses.replace(plain, numbers={**plain.numbers, "far": Interval(0.5, None, 1, "k")})
    assert {row["differs in"].split(", ")[-1] for row in rows(with_unit, more)} == {'units.far="k"', 'units.far="m"'}


def test_what_a_protocol_fixed_for_all_rows_is_said_below():
    assert 'In all rows: part "test", n_way 5' in results_page([result(0.9, 0), result(0.9, 0, steps=5)])


NASTY = "a|b\nc\\|d`e*f<script>&amp;[x](y)\x1b[31m\u202e"


def test_nothing_in_a_value_ends_its_cell_or_line_or_reaches_the_terminal():
    page = results_page([result(0.9, 0, data=NASTY, preset=NASTY), result(0.9, 0, unheard=NASTY, model={NASTY: NASTY})])
    lines = [line for line in page.splitlines() if line]
    assert len(lines) == 6
    assert len({line.replace("\\\\", "").replace("\\|", "").count("|") for line in lines if line[0] == "|"}) == 1
    assert "<script" not in page
    assert all(sign.isprintable() or sign == "\n" for sign in page)
    assert escape("") == "-"


@given(st.text(), st.text())
def test_escaped_values_are_alike_only_where_they_print_alike(one, other):
    printed = ["".join(c if c.isprintable() else " " for c in text) or "-" for text in (one, other)]
    assert (escape(one) == escape(other)) == (printed[0] == printed[1])


@pytest.mark.parametrize("name", ["[/x]", "[bold]a", "a[/]", "\x1b[31mred", "$x$", "[link=http://x]y[/link]"])
def test_markup_in_names_is_printed_as_it_is(name):
    plain = result(0.9, 0)
    numbers = dict(plain.numbers) | {name: Interval(0.5, 0.1, 3)}
    cell = dataclasses.replace(plain.cell, data=name, method=name)
    out = io.StringIO()
    Console(file=out, width=200).print(accuracy_table(Result(cell, numbers, plain.provenance)))
    assert "\x1b" not in out.getvalue()
    assert out.getvalue().count(name.replace("\x1b", " ")) == 3


def test_a_remark_below_a_narrow_table_is_not_broken_into_a_column():
    plain = result(0.9, 0)
    protocol = dict(plain.provenance.protocol) | {"notes": ["five queries of each class, not fifteen"]}
    out = io.StringIO()
    numbers = {"accuracy": plain.numbers["accuracy"]}
    with_note = Result(plain.cell, numbers, dataclasses.replace(plain.provenance, protocol=protocol))
    Console(file=out, width=100).print(accuracy_table(with_note))
    assert "five queries of each class, not fifteen" in out.getvalue()


def test_the_same_result_twice_counts_once_and_another_of_the_same_run_is_refused(tmp_path):
    for name, accuracy in (("a", 0.9), ("b", 0.9), ("c", 0.8)):
        write_result(tmp_path / f"{name}.json", result(accuracy, 0))
    assert len(read_results([tmp_path / "a.json", tmp_path / "b.json", tmp_path / "a.json"])) == 1
    with pytest.raises(InputError, match=r"a\.json and .*c\.json are of the same run"):
        read_results([tmp_path / "a.json", tmp_path / "c.json"])


@pytest.mark.no_cover  # lines that others run
def test_tables_of_the_repository_are_made_of_its_results(tmp_path):
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert page == results_page(committed())
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    begin, end = MARKS
    assert headline_table(committed()) == readme[readme.index(begin) + len(begin) + 1 : readme.index(end)]
    copy = tmp_path / "README.md"
    copy.write_text(readme, encoding="utf-8")
    renew(copy, committed())
    assert copy.read_text(encoding="utf-8") == readme


@pytest.mark.no_cover  # lines that others run
def test_the_seed_that_started_from_another_encoder_has_a_row_of_its_own():
    own = [row for row in rows_of(committed()) if row[0].cell.options.get("control") == "true_gradient"]
    assert sorted((len(row), row[0].cell.options["encoder"]) for row in own) == [
        (1, "pretrained:omniglot-5w1s"), (2, "omniglot-5w1s-protonet-default"),
    ]  # fmt: skip


@pytest.mark.no_cover  # lines that others run
def test_a_readme_without_its_marks_is_refused_and_left_alone(tmp_path):
    page = tmp_path / "page.md"
    for text in ("none", MARKS[1] + MARKS[0], MARKS[0] * 2 + MARKS[1]):
        page.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match="once each"):
            renew(page, committed())
        assert page.read_text(encoding="utf-8") == text
    with pytest.raises(InputError, match="cannot be read"):
        renew(tmp_path / "nothing.md", committed())


@pytest.mark.no_cover  # lines that others run
def test_numbers_that_the_results_lack_are_not_lost(tmp_path):
    page = tmp_path / "page.md"
    before = (ROOT / "README.md").read_text(encoding="utf-8")
    page.write_text(before, encoding="utf-8")
    with pytest.raises(InputError, match=r"the results have nothing for .* whose numbers would be lost"):
        renew(page, committed("evaluate-*.json"))
    assert page.read_text(encoding="utf-8") == before


@pytest.mark.no_cover  # lines that others run
def test_another_result_leaves_the_table_of_the_readme_as_it_is():
    before = headline_table(committed())
    headline = {"data": "omniglot", "steps": 1000}
    others = [result(0.1, 0, **headline), result(0.1, 0, tasks=5, **headline), result(0.1, 0, method="nmn", **headline)]
    others.append(result(0.1, 0, **headline, shares=[0.0, 4.0, 1.0], encoder="pretrained:omniglot-5w1s"))
    assert headline_table([*committed(), *others]) == before


@pytest.mark.no_cover  # lines that others run
def test_a_line_of_the_readme_whose_runs_were_measured_in_two_ways_is_refused():
    first = next(each for each in committed() if each.cell.row.endswith("1552c354"))
    protocol = {**first.provenance.protocol, "episodes": 7}
    other = dataclasses.replace(first, provenance=dataclasses.replace(first.provenance, protocol=protocol))
    with pytest.raises(InputError, match="1552c354 were measured in 2 ways; a line of the table is of one"):
        headline_table([*committed(), other])


def run_table(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(["table", *arguments])
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_verb_takes_files_run_folders_and_folders_of_either(tmp_path, capsys):
    (tmp_path / "runs" / "a").mkdir(parents=True)
    write_result(tmp_path / "runs" / "a" / "result.json", result(0.9, 0))
    write_result(tmp_path / "b.json", result(0.8, 1))
    (tmp_path / "benchmark_x.json").write_text("{}")
    main(["table", str(tmp_path), str(tmp_path / "runs"), str(tmp_path / "runs" / "a")])
    assert "85.00 ± 5.00 (2)" in capsys.readouterr().out
    readme = tmp_path / "page.md"
    readme.write_text(f"über\n{MARKS[0]}\nold\n{MARKS[1]}\nend\n", encoding="utf-8")
    main(["table", str(tmp_path / "b.json"), "--readme", str(readme), "--out", str(tmp_path / "t.md")])
    assert capsys.readouterr().out == ""
    assert "80.00 (1)" in (tmp_path / "t.md").read_text(encoding="utf-8")
    text = readme.read_text(encoding="utf-8")
    assert "old" not in text
    assert text.startswith(f"über\n{MARKS[0]}\n|")
    assert text.endswith(f"|\n{MARKS[1]}\nend\n")


def test_verb_refuses_by_name_what_it_cannot_tabulate(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert "no results" in run_table(capsys, str(tmp_path / "empty"))
    assert "nothing.json" in run_table(capsys, str(tmp_path / "nothing.json"))
    write_result(tmp_path / "a.json", result(0.9, 0))
    plain = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    for value in (98.7, "0.9", float("nan"), None, True):
        plain["numbers"]["accuracy"]["mean"] = value
        (tmp_path / "bad one.json").write_text(json.dumps(plain), encoding="utf-8")
        said = run_table(capsys, str(tmp_path))
        assert "bad one.json" in said
        assert "holds no result: got mean=" in said or "NaN is no number" in said


def test_classes_trained_on_and_left_out_are_said_beside_the_numbers():
    plain = result(0.9, 0)
    assert remarks(plain) == []
    facts = {
        "trained_on_classes": 236,
        "classes_used": 600,
        "classes_left_out": 59,
        "images_left_out": 118,
        "notes": ["x"],
    }
    marked = dataclasses.replace(
        plain, provenance=dataclasses.replace(plain.provenance, protocol={**plain.provenance.protocol, **facts})
    )
    said = "; ".join(remarks(marked))
    assert "236 of the 659 classes were trained on" in said
    assert "59 of 659 classes, 118 images, left out" in said
    assert said.endswith("x")
    assert "alphabet" not in said
    console = Console(file=io.StringIO(), width=200)
    console.print(accuracy_table(marked))
    assert said in " ".join(console.file.getvalue().split())


def test_harder_episodes_are_said_in_the_title_and_have_columns_of_their_own():
    def harder(**facts):
        cell = dataclasses.replace(plain.cell, options={**plain.cell.options, **facts})
        protocol = {**plain.provenance.protocol, "classes_used": 60, "classes_left_out": 4, **facts}
        return Result(cell, plain.numbers, dataclasses.replace(plain.provenance, protocol=protocol))

    plain = result(0.9, 0)
    assert title_of(plain) == "5-way 1-shot, glyphs test classes"
    turned = harder(rotations="episode")
    assert title_of(turned) == f"{title_of(plain)}, each turned by an angle drawn for the episode"
    both = harder(same_alphabet=True, wrong_labels=0.3)
    assert title_of(both) == f"{title_of(plain)}, within one alphabet, 30 % of the support labels wrong"
    assert remarks(both)[-1].endswith("too few images in each, or too few classes in its alphabet")
    shown = rows(plain, harder(same_alphabet=True), harder(wrong_labels=0.2), turned)
    assert sorted((row["same_alphabet"], row["wrong_labels"], row["rotations"]) for row in shown) == [
        ("-", "-", "-"), ("-", "-", "episode"), ("-", "0.2", "-"), ("true", "-", "-"),
    ]  # fmt: skip
