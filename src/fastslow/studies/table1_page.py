"""What the study of Table 1 shows: accuracies beside the paper's, harder tests, costs, and one against the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastslow.protocol.result import Interval, Result
from fastslow.report.figures.accuracy_cost import AccuracyAgainstCost
from fastslow.report.tables import mean_over_seeds
from fastslow.studies.page import Page, Table
from fastslow.studies.table1_harder import (
    ALPHABET_WAY,
    DIGIT_SHOTS,
    DIGIT_WAY,
    SAME_ALPHABET,
    TURNED_SHOTS,
    WRONG,
    WRONG_SHOT,
    digits_name,
    turned_name,
    wrong_labels_name,
)

#: The paper's Table 1, percent, by row here and cell: way and shot.
PAPER: dict[str, dict[str, float]] = {
    "nmn": {"5w1s": 80.2, "5w5s": 89.1, "20w1s": 78.1, "20w5s": 83.5},
    "mann": {"5w1s": 82.8, "5w5s": 94.9},
    "maml-transductive": {"5w1s": 98.7, "5w5s": 99.9, "20w1s": 95.8, "20w5s": 98.9},
    "metanet": {"5w1s": 98.9, "20w1s": 97.0},
    "mamlpp-transductive": {"20w1s": 97.6, "20w5s": 99.3},
    "fastslow-paper": {"5w1s": 99.0, "5w5s": 99.7, "20w1s": 97.9, "20w5s": 99.1},
}
#: Numbers of a result by the cell of the paper's table.
_SHOTS = {"1s": "accuracy", "5s": "accuracy, 5-shot"}
_COSTS = {"learn_ms": "ms", "learn_mflop": "MFLOP", "learn_mib": "MiB, peak", "model_mib": "MiB, model"}


def table1_page(results: Sequence[Result]) -> Page:
    """The tables and the picture of results, rows in the order in which they come."""
    tables = [_accuracies(results), *_harder(results), *_costs(results)]
    ways = sorted({_way(result) for result in results})
    figures = [AccuracyAgainstCost(f"{way}-way 1-shot accuracy against the cost of learning a task", points)
               for way in ways if (points := _points(results, way))]  # fmt: skip
    return Page("Few-shot methods, each trained for the same time on one thread (the paper's Table 1)", tables, figures)


def _accuracies(results: Sequence[Result]) -> Table:
    cells = sorted({f"{_way(r)}w{shot}" for r in results for shot in _SHOTS}, key=lambda cell: (len(cell), cell))
    columns = [column for cell in cells for column in (cell, f"paper {cell}")]
    rows = []
    for name, row in _by_name(results).items():
        texts = []
        for cell in cells:
            number = _SHOTS[cell[-2:]]
            measured = [r.numbers[number] for r in row if cell.startswith(f"{_way(r)}w") and number in r.numbers]
            paper = PAPER.get(name, {}).get(cell)
            texts += [mean_over_seeds(measured), "-" if paper is None else f"{paper:.1f}"]
        rows.append([name, *texts])
    title = "Accuracy on test classes, upright, by models trained at one shot, %: mean ± standard error (seeds)"
    return Table(title, ["method", *columns], rows)


def _harder(results: Sequence[Result]) -> list[Table]:
    """A table for each other test that some result has."""
    tables = []
    for way in sorted({_way(result) for result in results}):
        turned = {f"{way}w{shot}s": turned_name(shot) for shot in TURNED_SHOTS}
        wrong = {f"{share:.0%} wrong": wrong_labels_name(share) for share in WRONG}
        of_way = [result for result in results if _way(result) == way]
        tables.append(_table(f"Classes turned by an angle of each episode, as published, {way} ways", turned, of_way))
        tables.append(
            _table(f"Wrong labels in the support set, {way}-way {WRONG_SHOT}-shot, test classes", wrong, of_way)
        )
    alphabet = f"{ALPHABET_WAY}-way 1-shot"
    tables.append(_table(f"Same alphabet{_seen(results, SAME_ALPHABET)}", {alphabet: SAME_ALPHABET}, results))
    digits = {f"{DIGIT_WAY}-way {shot}-shot": digits_name(shot) for shot in DIGIT_SHOTS}
    seen = _seen(results, digits_name(DIGIT_SHOTS[0]))
    tables.append(_table(f"MNIST digits{seen}, by models for more ways", digits, results))
    return [table for table in tables if table.rows]


def _table(title: str, columns: Mapping[str, str], results: Sequence[Result]) -> Table:
    """Accuracies by column, of the rows that have any of them; the title says of how many episodes.

    A row whose model was also measured with the write gate on has one more, of the same weights.
    """
    rows = []
    for name, row in _by_name(results).items():
        for shown, first in ((name, "accuracy"), (f"{name}, write gate", "write_gate")):
            numbers = [f"{first}, {column}" for column in columns.values()]
            if any(number in result.numbers for result in row for number in numbers):
                rows.append([shown, *(mean_over_seeds([r.numbers[n] for r in row if n in r.numbers]) for n in numbers)])
    numbers = [f"accuracy, {column}" for column in columns.values()]
    counts = sorted({r.numbers[n].count for r in results for n in numbers if n in r.numbers})
    episodes = " or ".join(map(str, counts))
    return Table(f"{title}, %: mean ± standard error (seeds) of {episodes} episodes", ["method", *columns], rows)


def _seen(results: Sequence[Result], name: str) -> str:
    """How many classes a measurement was of, and how many of them training has seen, in words after a comma."""
    facts = [f for r in results if (f := r.provenance.protocol.get("measurements", {}).get(name)) is not None]
    number = {None: "an unknown number", 0: "none"}
    words = {
        f"{f['classes_used']} classes, {number.get(seen := f['trained_on_classes'], seen)} of them trained on"
        for f in facts
    }
    return f", {' or '.join(sorted(words))}" if words else ""


def _costs(results: Sequence[Result]) -> list[Table]:
    tables = []
    for way in sorted({_way(result) for result in results}):
        rows = []
        for name, row in _by_name([r for r in results if _way(r) == way]).items():
            costs = [mean_over_seeds([r.numbers[c] for r in row if c in r.numbers]).split(" ")[0] for c in _COSTS]
            rows.append([name, *costs, "yes" if row[0].provenance.protocol.get("needs_autograd") else "no"])
        heads = ["method", *_COSTS.values(), "needs autograd"]
        tables.append(Table(f"Cost of learning one {way}-way 1-shot task on one thread", heads, rows))
    return tables


def _points(results: Sequence[Result], way: int) -> list[tuple[str, float, Interval]]:
    """Name, milliseconds and accuracy of each row: of its first seed."""
    rows = _by_name([r for r in results if _way(r) == way and "learn_ms" in r.numbers])
    return [(name, row[0].numbers["learn_ms"].mean, row[0].numbers["accuracy"]) for name, row in rows.items()]


def _by_name(results: Sequence[Result]) -> dict[str, list[Result]]:
    """Results by their row's name, in the order in which they come."""
    rows: dict[str, list[Result]] = {}
    for result in results:
        rows.setdefault(str(result.cell.options["row"]), []).append(result)
    return rows


def _way(result: Result) -> int:
    return int(str(result.cell.options["task"]).split("w")[0])
