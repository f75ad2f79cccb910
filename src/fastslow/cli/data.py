"""`fastslow data`: fetch, list and preview data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import cyclopts

from fastslow.errors import InputError

app = cyclopts.App(name="data", help="Fetch, list and preview data sets.")


@app.command
def fetch(name: str, *, data_dir: Path | None = None) -> None:
    """Download a data set from its public sources, checked before use; an interrupted download resumes.

    Args:
        name: the data set; `fastslow data list` says which are not at hand.
        data_dir: where to put it; FASTSLOW_DATA or the cache folder if not given.
    """
    from fastslow.data.registry import fetch as fetch_data

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

    from fastslow.data.fetching.locate import data_folder
    from fastslow.data.registry import DATA
    from fastslow.data.tracks.registry import NAMES

    table = Table("data")
    table.add_column("at hand", no_wrap=True)
    table.add_column("splits")
    table.add_column("what")
    for name, source in DATA.items():
        files = () if source.files is None else tuple(source.files.checksums)
        at_hand = "yes" if _are_here(name, files, data_dir) else f"no: fastslow data fetch {name}"
        table.add_row(name, at_hand, ", ".join(source.splits), source.about)
    for name, about in NAMES.items():
        table.add_row(name, "yes" if name != "vru" or _has_vru(data_dir) else "no", "tracks", about)
    Console().print(table, f"looked in {data_folder(data_dir)}", sep="\n", markup=False)


def _are_here(name: str, files: tuple[str, ...], data_dir: Path | None) -> bool:
    """Whether each of the files, or the folder that it unpacks to, is in the data folder."""
    from fastslow.data.fetching.locate import find_path

    try:
        for file in files:
            find_path(name, [file, f"{file.removesuffix('.zip')}/"], data_dir)
    except InputError:
        return False
    return True


def _has_vru(data_dir: Path | None) -> bool:
    from fastslow.data.fetching.locate import search_folders
    from fastslow.data.tracks.vru import holds_vru

    return any(holds_vru(folder) for folder in search_folders("vru", data_dir))


@app.command
def preview(
    data: str = "glyphs",
    *,
    data_dir: Path | None = None,
    split: str | None = None,
    part: Literal["train", "validation", "test", "all"] = "all",
    classes: int = 12,
    per_class: int = 10,
    image_size: int = 28,
    ink: Literal["auto", "bright", "dark", "as_is"] = "auto",
    crop: bool = False,
    seed: int = 0,
    out: Path = Path("preview.png"),
) -> None:
    """Draw some images of a data set, one class per row.

    Args:
        data: a name of images that `fastslow data list` shows, or a folder with one sub-folder for each class.
        data_dir: where downloaded data lie; FASTSLOW_DATA or the cache folder if not given.
        split: which split the part is of, for data that have several.
        part: the classes to draw from.
        classes: how many classes, drawn at random.
        per_class: how many images of each.
        image_size: edge of the images, pixels.
        ink: of a folder's images: bright or dark; auto finds out; as_is for photographs, which are left as they are.
        crop: cut a folder's images to their ink, for drawings that are small on their page.
        seed: which classes.
        out: PNG file to write.
    """
    from fastslow.cli.outputs import refuse_output
    from fastslow.data.registry import load_source
    from fastslow.report.figures.contact_sheet import contact_sheet

    refuse_output("--out", out, ".png")
    if not 0 <= seed < 2**32:
        raise InputError(f"got seed={seed}; it must be from 0 to {2**32 - 1}")
    images, parts = load_source(data, data_dir=data_dir, split=split, image_size=image_size, ink=ink, crop=crop)
    shown_classes = images.select(parts.part(part))
    contact_sheet(shown_classes, num_classes=classes, per_class=per_class, seed=seed, out=out)
    print(out)
