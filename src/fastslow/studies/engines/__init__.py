"""Engines: where the cells of a study are run. Each is a file here, with its name in `EngineName`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from fastslow.errors import InputError
from fastslow.studies.engines.base import Engine, Here

EngineName = Literal["here", "local", "ray", "slurm"]


def load_engine(
    name: EngineName,
    *,
    results: str | Path,
    workers: int | None = None,
    address: str | None = None,
    slurm: Mapping[str, object] | None = None,
) -> Engine:
    """An engine by its name; packages of extras are imported here, those of other engines are not needed.

    Args:
        name: here, one cell after another in this process; local, in processes; ray and slurm, on a cluster.
        results: folder of results.
        workers: cells at once, for all but here; see the engines for what None is.
        address: of a Ray cluster, see `RayEngine`.
        slurm: see `SlurmEngine`.

    Raises:
        ValueError: if an option is of another engine, or what the engine needs is not installed.
    """
    for option, value, engines in (
        ("workers", workers, ("local", "ray", "slurm")),
        ("address", address, ("ray",)),
        ("slurm", slurm or None, ("slurm",)),
    ):
        if value is not None and name not in engines:
            raise InputError(
                f"got {option} for engine {name}; it is for {', '.join(engines)}: add --engine, or leave it out"
            )
    if name == "local":
        from fastslow.studies.engines.local import LocalEngine

        return LocalEngine(workers)
    if name == "ray":
        from fastslow.studies.engines.ray_cluster import RayEngine

        return RayEngine(address, workers)
    if name == "slurm":
        from fastslow.studies.engines.slurm import SlurmEngine

        return SlurmEngine(Path(results) / "slurm", workers, slurm)
    return Here()
