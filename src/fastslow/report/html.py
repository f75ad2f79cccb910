"""Pieces of a page: text, tables, pictures. Everything that comes from outside goes through `text`."""

from __future__ import annotations

import base64
import html
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastslow.report.figures.base import Display

_STYLE = """
:root { color-scheme: light dark; --line: #8885; --soft: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1, h2 { line-height: 1.2; overflow-wrap: anywhere; } h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); }
table { border-collapse: collapse; margin: 1rem 0; } .wide { overflow-x: auto; }
th, td { text-align: left; padding: .3rem .8rem; border-bottom: 1px solid var(--line); }
td { overflow-wrap: anywhere; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
figure { margin: 1.5rem 0; } figcaption { font-size: .9rem; opacity: .85; }
img { max-width: 100%; height: auto; background: white; padding: .5rem; border-radius: .5rem; box-sizing: border-box; }
pre, code { background: var(--soft); border-radius: .3rem; }
pre { padding: .7rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.note { border-left: .3rem solid #E69F00; background: var(--soft); padding: .5rem 1rem; overflow-wrap: anywhere; }
details summary { cursor: pointer; }
""".strip()


def text(value: object) -> str:
    """A value as text of a page: nothing in it is taken for HTML, and all of it can be written."""
    return html.escape(str(value).encode("utf-8", "replace").decode("utf-8"))


def note(value: object) -> str:
    """A remark that stands out."""
    return f'<p class="note">{text(value)}</p>'


def picture(figure: Display, caption: str) -> str:
    """A figure, inside the page, with its caption."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        figure.plot(path)
        data = base64.b64encode(path.read_bytes()).decode("ascii")
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{text(caption)}">'
        f"<figcaption>{text(caption)}</figcaption></figure>"
    )


def facts(values: Mapping[str, object]) -> str:
    """A table of names and values; those without a value are left out."""
    return table(None, [[text(name), text(value)] for name, value in values.items() if value not in (None, "")])


def table(header: Sequence[str] | None, rows: Sequence[Sequence[str]], numbers: set[int] | None = None) -> str:
    """A table of cells that are HTML already; columns in `numbers` are flush right."""

    def row(cells: Sequence[str], tag: str) -> str:
        flush = [' class="number"' if i in (numbers or ()) else "" for i in range(len(cells))]
        return "".join(f"<{tag}{kind}>{cell}</{tag}>" for kind, cell in zip(flush, cells, strict=True))

    head = "" if header is None else f"<tr>{row([text(cell) for cell in header], 'th')}</tr>"
    lines = "\n".join(f"<tr>{row(cells, 'td')}</tr>" for cells in rows)
    return f'<div class="wide"><table>{head}\n{lines}\n</table></div>'


def page(title: str, body: Sequence[str]) -> str:
    """A whole page that needs nothing else."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n<body>\n<h1>{text(title)}</h1>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )
