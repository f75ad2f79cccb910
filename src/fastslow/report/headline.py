"""The table of results in the README: a few rows of all there are, written between two marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fastslow.errors import InputError, shown
from fastslow.files import write_atomically
from fastslow.protocol.result import Result
from fastslow.report.tables import markdown_table, mean_over_seeds, rows_of

MARKS = ("<!-- results:begin -->", "<!-- results:end -->")
#: Columns: the task of each.
TASKS = {"5-way 1-shot": "5w1s", "5-way 5-shot": "5w5s", "20-way 1-shot": "20w1s", "20-way 5-shot": "20w5s"}


class Line(NamedTuple):
    """A line of the README's table.

    Attributes:
        label: its first cell.
        rows: of cells (`Cell.row`) by task: by everything but the seed, so that no other result can take their place.
        number: which of a result's numbers.
        strong: in bold.
    """

    label: str
    rows: Mapping[str, str]
    number: str = "accuracy"
    strong: bool = False


_DEFAULT = {
    "5w1s": "fewshot-omniglot-fastslow-5w1s-default-1000steps-1552c354",
    "20w1s": "fewshot-omniglot-fastslow-20w1s-default-1000steps-da9c0abc",
}
_SHIPPED = {
    "5w1s": "evaluate-omniglot-fastslow-5w1s-80f5fed1",
    "5w5s": "evaluate-omniglot-fastslow-5w5s-2241cc53",
    "20w1s": "evaluate-omniglot-fastslow-20w1s-f5c4f92b",
    "20w5s": "evaluate-omniglot-fastslow-20w5s-1a58f42c",
}
_TURNED = {
    "5w1s": "evaluate-omniglot-fastslow-5w1s-08c32984",
    "5w5s": "evaluate-omniglot-fastslow-5w5s-8330513f",
    "20w1s": "evaluate-omniglot-fastslow-20w1s-9402e022",
    "20w5s": "evaluate-omniglot-fastslow-20w5s-4968638d",
}
_FAST = {
    "5w1s": "evaluate-omniglot-fastslow-5w1s-c0ab3222",
    "5w5s": "evaluate-omniglot-fastslow-5w5s-69739121",
    "20w1s": "evaluate-omniglot-fastslow-20w1s-77dd353d",
}
_NMN = {"5w1s": "fewshot-omniglot-nmn-5w1s-default-1steps-04292b09"}
_PAPER = {"5w1s": "fewshot-omniglot-fastslow-5w1s-paper-20000steps-ffd8c91e"}
LINES = (
    Line(
        "fastslow, shipped: a wider encoder, images of 40 pixels, eight views of each, a write gate",
        _SHIPPED,
        strong=True,
    ),
    Line("prototypical network on that encoder and its views", _SHIPPED, "protonet"),
    Line("the same, of one view", _SHIPPED, "protonet_one_view"),
    Line("fastslow, shipped to be quick: a small encoder, one view, distilled from that model", _FAST, strong=True),
    Line("fastslow, shipped, measured as MAML was: each class turned by an angle of the episode", _TURNED, strong=True),
    Line("prototypical network on that encoder, one view, measured so", _TURNED, "protonet_one_view"),
    Line("fastslow, default preset", _DEFAULT, strong=True),
    Line("the same weights, fast path off: guessing", _DEFAULT, "fast_path_off"),
    Line("the plain network, 50 gradient steps on each support set", _NMN),
    Line("prototypical network, same encoder and training", _DEFAULT, "protonet"),
    Line("fastslow, paper preset: the text taken literally, on the features of its own encoder", _PAPER),
    Line("prototypical network on that encoder", _PAPER, "protonet"),
)
#: Fernando et al. (2020), Table 1.
PAPER_REPORTS = (
    "the paper reports: its system / its plain memory network",
    *("99.0 / 80.2", "99.7 / 89.1", "97.9 / 78.1", "99.1 / 83.5"),
)


def headline_table(results: Sequence[Result]) -> str:
    """The README's table, in Markdown: means over training seeds, standard errors, numbers of seeds.

    Raises:
        ValueError: if the runs of one line were not all measured in the same way; the message names them.
    """
    rows = rows_of(results)
    lines = [[line.label, *(_cell(rows, line, task) for task in TASKS.values())] for line in LINES]
    return markdown_table(["", *TASKS], [*lines, PAPER_REPORTS])


def renew(page: Path, results: Sequence[Result]) -> None:
    """Puts the table between the marks of a Markdown page, and leaves the rest as it is.

    Raises:
        ValueError: if the page cannot be read or does not have each mark once, in order, or has numbers that the
            results lack; it is unchanged then.
    """
    try:
        text = page.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{page} cannot be read as text: {error}") from error
    begin, end = MARKS
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise InputError(f"{page} does not have the lines {begin} and {end} once each, in this order: put them in")
    before, after = text[: text.index(begin) + len(begin)], text[text.index(end) :]
    table = headline_table(results)
    _refuse_lost(text[len(before) : len(text) - len(after)], table)
    new = f"{before}\n{table}{after}"
    write_atomically(page, lambda temporary: temporary.write_text(new, encoding="utf-8"))


def _refuse_lost(before: str, after: str) -> None:
    """Refuses to put "-" where a line had a number."""
    old, new = ({cells[1]: cells[2:-1] for cells in _rows(table)} for table in (before, after))
    lost = [
        label
        for label in old.keys() & new.keys()
        if any("±" in was and its.strip() == "-" for was, its in zip(old[label], new[label], strict=False))
    ]
    if lost:
        raise InputError(
            f"the results have nothing for {shown(sorted(lost)[0].strip())}, whose numbers would be lost; give the "
            "results of all lines, or take the numbers out of the page first"
        )


def _rows(table: str) -> list[list[str]]:
    return [line.split("|") for line in table.splitlines() if line.startswith("|")]


def _cell(rows: Sequence[Sequence[Result]], line: Line, task: str) -> str:
    found = [row for row in rows if row[0].cell.row == line.rows.get(task)]
    if len(found) > 1:
        raise InputError(
            f"the results of {found[0][0].cell.row} were measured in {len(found)} ways; a line of the table is of one: "
            "leave the others out"
        )
    if not found:
        return "-"
    text = mean_over_seeds([result.numbers[line.number] for result in found[0] if line.number in result.numbers])
    return f"**{text.replace(' (', '** (')}" if line.strong else text
