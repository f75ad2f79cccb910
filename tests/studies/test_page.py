"""A page shows its tables and figures as Markdown and as HTML, whatever the texts in them hold."""

from __future__ import annotations

import base64
import re

import pytest

from fastslow.errors import InputError
from fastslow.studies.page import Page, Table

PNG = b"\x89PNG of a test"


class Curve:
    title = "accuracy <over> steps"

    def plot(self, path):
        path.write_bytes(PNG)

    def frame(self):
        return {"step": [1, 2], "accuracy": [0.5, 0.75]}


PAGE = Page(
    "A | page & more",
    [Table("rows", ["name", "value"], [["a|b", "<script>"], ["two\nlines", "1"]])],
    [Curve()],
    ["k-1"],
)


def test_markdown_keeps_each_text_in_its_cell():
    lines = PAGE.markdown().splitlines()
    assert "| a\\|b | &lt;script&gt; |" in lines
    assert "| two lines | 1 |" in lines
    assert "- `k-1`" in lines
    assert "1 cell still to be run:" in lines


def test_latex_sets_texts_as_they_are():
    page = Page("x", [Table("50 % & more", ["a_b", "c"], [["{x} \\ ~ ^ $ #", "1 ± 2"]])])
    assert page.latex().splitlines() == [
        r"\begin{table}", r"\caption{50 \% \& more}", r"\begin{tabular}{lr}", r"\hline", r"a\_b & c \\", r"\hline",
        r"\{x\} \textbackslash{} \textasciitilde{} \textasciicircum{} \$ \# & 1 $\pm$ 2 \\",
        r"\hline", r"\end{tabular}", r"\end{table}",
    ]  # fmt: skip


def test_a_figure_in_markdown_is_the_table_of_its_data():
    assert "| step | accuracy |\n| --- | --- |\n| 1 | 0.5 |\n| 2 | 0.75 |" in PAGE.markdown()


def test_a_terminal_is_spared_long_figures_and_told_where_they_are():
    whole, short = PAGE.markdown(), PAGE.markdown(most_rows=1)
    assert PAGE.markdown(most_rows=2) == whole
    assert "| 2 | 0.75 |" not in short
    assert "`--out page.html` draws" in short
    assert short.rstrip().endswith("(2 rows)")
    assert "| a\\|b |" in short  # tables stay


def test_numbers_are_shown_to_five_digits_and_whole_ones_whole():
    class Thirds(Curve):
        def frame(self):
            return {"step": [1234567], "accuracy": [1.9 / 3]}

    assert "| 1234567 | 0.63333 |" in Page("x", figures=[Thirds()]).markdown()


def test_html_holds_the_picture_its_data_and_no_markup_from_texts():
    page = PAGE.html()
    (picture,) = re.findall(r'src="data:image/png;base64,([^"]*)"', page)
    assert base64.b64decode(picture) == PNG
    assert "<td>0.75</td>" in page
    assert "<script>" not in page
    assert "<over>" not in page
    assert "<title>A | page &amp; more</title>" in page
    assert "k-1" in page


class Slider:
    title = "moved <by> hand"

    def markup(self):
        return "<p>a picture of its own</p>"

    def frame(self):
        return {"step": list(range(100))}


def test_a_drawing_is_part_of_the_page_and_its_data_are_there_too():
    page = Page("x", figures=[Slider()])
    assert "<h2>moved &lt;by&gt; hand</h2>\n<p>a picture of its own</p>\n<details>" in page.html()
    assert page.html().count("<td>") == 100
    lines = page.markdown().splitlines()
    assert "## moved &lt;by&gt; hand" in lines
    assert [line for line in lines if line.startswith("|")][2:] == [f"| {step} |" for step in range(100)]


def test_notes_are_text_of_the_page():
    page = Page("x", notes=["to be <b>known</b>"])
    assert "to be &lt;b&gt;known&lt;/b&gt;" in page.markdown().splitlines()
    assert '<p class="missing">to be &lt;b&gt;known&lt;/b&gt;</p>' in page.html()


def test_a_whole_page_says_nothing_of_missing_cells():
    page = Page("whole")
    assert "still to be run" not in page.markdown() + page.html()


def test_a_row_of_another_length_is_refused():
    with pytest.raises(InputError, match="got a row of 1 texts; the table 'odd' has 2"):
        Table("odd", ["a", "b"], [["1"]])


def test_figure_columns_of_unequal_length_are_refused():
    class Uneven(Curve):
        def frame(self):
            return {"step": [1, 2], "accuracy": [0.5]}

    with pytest.raises(ValueError, match="shorter"):
        Page("uneven", figures=[Uneven()]).markdown()
