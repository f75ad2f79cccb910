"""What a study shows: tables and figures, as Markdown for the repository and as an HTML page for the browser."""

from __future__ import annotations

import base64
import dataclasses
import html
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from fastslow.errors import InputError

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 0 auto; padding: 1rem; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { text-align: left; padding: .3rem .8rem; border-bottom: 1px solid #8885; }
img { max-width: 100%; height: auto; background: white; }
.missing { border-left: .3rem solid #E69F00; padding: .5rem 1rem; }
""".strip()


@runtime_checkable
class Figure(Protocol):
    """A picture, and the numbers that it shows."""

    @property
    def title(self) -> str:
        """What it shows, one line."""

    def plot(self, path: Path) -> None:
        """Draws the picture into a PNG file."""

    def frame(self) -> Mapping[str, Sequence[object]]:
        """The data behind the picture: columns of equal length by name."""


@runtime_checkable
class Drawing(Protocol):
    """A picture that is part of the page, such as one with a slider, and the numbers that it shows."""

    @property
    def title(self) -> str:
        """What it shows, one line."""

    def markup(self) -> str:
        """The picture as HTML that needs nothing else, all text in it escaped."""

    def frame(self) -> Mapping[str, Sequence[object]]:
        """As `Figure.frame`."""


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        title: what it says, one line.
        columns: their heads.
        rows: each with one text per column.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise InputError(f"got a row of {len(row)} texts; the table {self.title!r} has {len(self.columns)}")


@dataclasses.dataclass(frozen=True)
class Page:
    """All that a study shows.

    Attributes:
        title: of the page.
        tables: in their order.
        figures: likewise.
        missing: keys of the cells that have no result yet, and are therefore not in tables and figures.
        failed: why, by key, of those that could not be run.
        notes: what else is to be said, a sentence or more each.
    """

    title: str
    tables: Sequence[Table] = ()
    figures: Sequence[Figure | Drawing] = ()
    missing: Sequence[str] = ()
    failed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    notes: Sequence[str] = ()

    def markdown(self, *, most_rows: int | None = None) -> str:
        """The page as Markdown; a figure is the table of its data.

        Args:
            most_rows: a figure of more rows is named only (for a terminal); all are written if not given.
        """
        parts = [f"# {_flat(self.title)}", *map(_flat, self.notes)]
        if self.missing:
            parts.append("\n".join([f"{_missing(self)}:", "", *(f"- `{key}`" for key in self.missing)]))
        data = list(map(_data, self.figures))
        left_out = [] if most_rows is None else [table for table in data if len(table.rows) > most_rows]
        for table in (*self.tables, *(table for table in data if table not in left_out)):
            lines = [table.columns, ["---"] * len(table.columns), *table.rows]
            rows = [f"| {' | '.join(map(_flat, line))} |" for line in lines]
            parts += [f"## {_flat(table.title)}", "\n".join(rows)]
        if left_out:
            names = "\n".join(f"- {_flat(table.title)} ({len(table.rows)} rows)" for table in left_out)
            parts.append(f"Figures of many points, which `--out page.html` draws and `--out page.md` lists:\n\n{names}")
        return "\n\n".join(parts) + "\n"

    def latex(self) -> str:
        """The tables as LaTeX, each a `table` with a `tabular`; needs no package."""
        parts = []
        for table in self.tables:
            lines = [" & ".join(map(_tex, line)) + r" \\" for line in [table.columns, *table.rows]]
            head, body = lines[0], "\n".join(lines[1:])
            columns = "l" + "r" * (len(table.columns) - 1)
            parts.append(
                f"\\begin{{table}}\n\\caption{{{_tex(table.title)}}}\n\\begin{{tabular}}{{{columns}}}\n"
                f"\\hline\n{head}\n\\hline\n{body}\n\\hline\n\\end{{tabular}}\n\\end{{table}}\n"
            )
        return "\n".join(parts)

    def html(self) -> str:
        """The page as one HTML file that needs no other: pictures are inside, their data folded away below them."""
        body = [f"<h1>{html.escape(self.title)}</h1>"]
        if self.missing:
            keys = "".join(f"<li><code>{html.escape(key)}</code></li>" for key in self.missing)
            body.append(f'<div class="missing">{_missing(self)}:<ul>{keys}</ul></div>')
        body += [f'<p class="missing">{html.escape(note)}</p>' for note in self.notes]
        for table in self.tables:
            body.append(f"<h2>{html.escape(table.title)}</h2>\n{_html_table(table)}")
        for figure in self.figures:
            title, data = html.escape(figure.title), _html_table(_data(figure))
            picture = figure.markup() if isinstance(figure, Drawing) else _image(title, figure)
            body.append(f"<h2>{title}</h2>\n{picture}\n<details><summary>data</summary>{data}</details>")
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{html.escape(self.title)}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n<body>\n"
            + "\n".join(body)
            + "\n</body>\n</html>\n"
        )


def _missing(page: Page) -> str:
    return f"{len(page.missing)} cell{'s' if len(page.missing) > 1 else ''} still to be run"


def _flat(text: str) -> str:
    """Text that stays within its line and its cell of a Markdown table."""
    return html.escape(" ".join(text.split()), quote=False).replace("|", "\\|")


def _tex(text: str) -> str:
    """Text as LaTeX sets it, its signs without their meaning."""
    signs = {sign: f"\\{sign}" for sign in "&%$#_{}"}
    signs |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
    return "".join(signs.get(sign, sign) for sign in " ".join(text.split()))


def _data(figure: Figure | Drawing) -> Table:
    frame = figure.frame()
    rows = [[_said(value) for value in row] for row in zip(*frame.values(), strict=True)]
    return Table(figure.title, list(frame), rows)


def _said(value: object) -> str:
    """A number in five digits, which is more than its interval ever allows; all else as it is."""
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _html_table(table: Table) -> str:
    head = "".join(f"<th>{html.escape(column)}</th>" for column in table.columns)
    rows = ("".join(f"<td>{html.escape(text)}</td>" for text in row) for row in table.rows)
    return f"<table>\n<tr>{head}</tr>\n" + "".join(f"<tr>{row}</tr>\n" for row in rows) + "</table>"


def _image(title: str, figure: Figure) -> str:
    """A picture within the page; the title is HTML already."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figure.png"
        figure.plot(path)
        data = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{title}" src="data:image/png;base64,{data}">'
