"""`fastslow data`: fetch, list and preview data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import cyclopts

from fastslow.errors import InputError

app = cyclopts.App(name="data", help="Fetch, list and preview data sets.")


@app.command
def fetch(name: Literal["omniglot", "mnist"], *, data_dir: Path | None = None) -> None:
    """Download a data set from its public sources, checked before use; an interrupted download resumes.

    Args:
        name: the data set.
        data_dir: where to put it; FASTSLOW_DATA or the cache folder if not given.
    """
    from fastslow.data.fetch.fetch import fetch as fetch_data

    for path in fetch_data(name, data_dir):
        print(path)


@app.command(name="list")
def list_data(*, data_dir: Path | None = None) -> None:
    """Say which data sets there are and which of them are at hand.

    Args:
        data_dir: where to look; FASTSLOW_DATA or the cache folder if not given.
    """
    from rich.console import Console
    from rich.table import Table

    from fastslow.data.fetch.fetch import SOURCES
    from fastslow.data.fetch.locate import data_folder, find_path

    table = Table("data")
    table.add_column("at hand", no_wrap=True)
    table.add_column("what")
    table.add_row("glyphs", "yes", "made-up characters, drawn as needed")
    what = {"omniglot": "1623 characters x 20 drawings", "mnist": "70,000 digits"}
    for name, source in SOURCES.items():
        try:
            for file in source.checksums:
                find_path(name, [file], data_dir)
            at_hand = "yes"
        except InputError:
            at_hand = f"no: fastslow data fetch {name}"
        table.add_row(name, at_hand, what[name])
    Console().print(table, f"looked in {data_folder(data_dir)}", sep="\n")


@app.command
def preview(
    data: str = "glyphs",
    *,
    data_dir: Path | None = None,
    classes: int = 12,
    per_class: int = 10,
    seed: int = 0,
    out: Path = Path("preview.png"),
) -> None:
    """Draw some images of a data set, one class a row.

    Args:
        data: glyphs, omniglot, or a folder with one sub-folder a class.
        data_dir: where Omniglot lies; FASTSLOW_DATA or the cache folder if not given.
        classes: how many classes, drawn at random.
        per_class: how many images of each.
        seed: which classes.
        out: PNG file to write.
    """
    from fastslow.data.registry import load_source
    from fastslow.errors import InputError
    from fastslow.files import refuse_unwritable
    from fastslow.report.plots import contact_sheet

    refuse_unwritable(out)
    if not 0 <= seed < 2**32:
        raise InputError(f"seed={seed} came; it must be from 0 to {2**32 - 1}")
    images, _ = load_source(data, data_dir=data_dir)
    contact_sheet(images, num_classes=classes, per_class=per_class, seed=seed, out=out)
    print(out)
