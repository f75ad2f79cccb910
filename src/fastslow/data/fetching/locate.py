"""Where data sets are looked for, and where decoded ones are kept."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from fastslow.errors import InputError


def data_folder(data_dir: str | Path | None = None) -> Path:
    """The folder that holds the data sets, one sub-folder each; it need not exist.

    Args:
        data_dir: the user's choice (`--data-dir`). `None` means the environment variable FASTSLOW_DATA and,
            where that is unset or empty, the user's cache folder for fastslow.
    """
    return _chosen_folder(data_dir, "FASTSLOW_DATA")


def cache_folder() -> Path:
    """The folder for what can be made again from the data; it need not exist.

    The environment variable FASTSLOW_CACHE, else the user's cache folder for fastslow.
    """
    return _chosen_folder(None, "FASTSLOW_CACHE")


def search_folders(name: str, data_dir: str | Path | None = None) -> tuple[Path, Path]:
    """Where the files of data set `name` may lie, best place first: the data folder's `name`, then itself."""
    root = data_folder(data_dir)
    return root / name, root


def find_path(
    name: str, candidates: Sequence[str], data_dir: str | Path | None = None, *, cure: str | None = None
) -> Path:
    """Finds one file or folder of a data set.

    Args:
        name: the data set, as `fastslow data fetch` calls it.
        candidates: names that will do, best first; one that ends in "/" must be a folder, any other a file.
        data_dir: see `data_folder`.
        cure: what is to be done where it is missing; to fetch it if None.

    Raises:
        InputError: if none is there; the message says what was looked for, where, and the cure.
    """
    folders = search_folders(name, data_dir)
    for folder in folders:
        for candidate in candidates:
            path = folder / candidate
            if path.is_dir() if candidate.endswith("/") else path.is_file():
                return path
    raise InputError(
        f"{name} data not found: looked for {' or '.join(candidates)} in {folders[0]} and {folders[1]}; "
        f"{cure or f'run `fastslow data fetch {name}`'}, or say where the files are with --data-dir or FASTSLOW_DATA"
    )


def _chosen_folder(choice: str | Path | None, variable: str) -> Path:
    if choice is not None:
        return Path(choice).expanduser()
    if from_environment := os.environ.get(variable):
        return Path(from_environment).expanduser()
    return Path(platformdirs.user_cache_dir("fastslow", appauthor=False))
