"""Graphs of the models that ship with the library: exported once, kept in the user's cache folder, found again."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import tempfile
from importlib import metadata
from pathlib import Path

from fastslow.data.fetching.locate import cache_folder
from fastslow.errors import InputError, shown, shown_path, shown_reason
from fastslow.export.folder import export_model
from fastslow.files import UnwritableError, refuse_unwritable
from fastslow.methods.files import load_model, locate_model
from fastslow.runtime.manifest import FILES, MANIFEST, read_file, read_manifest

#: To be raised when a model gives other graphs than before.
_REVISION = 1
#: Whoever asks for a model by its name has given no file.
_CURE = "free space, or set FASTSLOW_CACHE to a folder that you may write to"


def refuse_without_runtime(device: object) -> None:
    """Refuses to answer by graphs where that cannot be.

    Raises:
        ValueError: if onnxruntime is not installed, or the device is another than the processor.
    """
    if str(device).partition(":")[0] != "cpu":
        raise InputError(
            f"got device={shown(str(device))} with backend='onnx', which runs on the processor; leave one of them out"
        )
    if importlib.util.find_spec("onnxruntime") is None:
        raise InputError(
            "got backend='onnx', which needs onnxruntime, not installed here: pip install \"fastslow[export]\", or "
            "leave it out"
        )


def kept_graphs(source: str) -> Path | None:
    """The folder of a model's graphs, if they have been exported before and are whole."""
    folder = _place(source)
    try:
        manifest = read_manifest(folder)
        for name in FILES:
            read_file(folder, name, manifest)
    except (InputError, OSError):  # of the system: a folder that nobody may look into
        return None
    return folder


def exported_graphs(source: str) -> Path:
    """The folder of a model's graphs, exported now unless they were before; that takes some seconds.

    Args:
        source: see `load_model`.

    Returns:
        A folder for `ExportedClassifier`.

    Raises:
        ValueError: if there is no such model, it cannot be exported, or no folder can be written in the cache.
    """
    if (kept := kept_graphs(source)) is not None:
        return kept
    folder = _place(source)
    try:
        refuse_unwritable(folder / MANIFEST)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as place:
            export_model(load_model(source), Path(place) / "graphs", source=source)
            shutil.rmtree(folder, ignore_errors=True)  # what is there is damaged
            os.replace(Path(place) / "graphs", folder)
    except UnwritableError as error:
        raise InputError(f"{error.what}: {_CURE}") from error
    except OSError as error:
        if kept_graphs(source) is None:  # or else another process was quicker
            raise InputError(f"{shown_path(folder)} cannot be written ({shown_reason(error)}): {_CURE}") from error
    return folder


def _place(source: str) -> Path:
    weights = hashlib.sha256(locate_model(source).read_bytes()).hexdigest()[:16]
    return cache_folder() / "graphs" / f"{weights}-{metadata.version('fastslow')}-{_REVISION}"
