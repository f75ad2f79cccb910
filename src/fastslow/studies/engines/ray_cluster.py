"""Cells on a Ray cluster."""

from __future__ import annotations

import logging
import socket
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from fastslow.errors import InputError, shown, shown_reason
from fastslow.studies.engines.base import GRACE_SECONDS, POLL_SECONDS, WorkerEngine, extra_package
from fastslow.studies.jobs import Job, Outcome, work

#: How often Ray runs a cell again whose worker, or whose worker's machine, was lost.
RETRIES = 3
_CONNECT_SECONDS = 10.0


class RayEngine(WorkerEngine[Any]):
    """A Ray task of one core for each cell; its handle is Ray's reference to the outcome.

    Results come back to this process, which writes those that are not in its own folder yet: machines need not share
    it. Runs with their checkpoints and models stay on the machine that they were done on, where it is not shared.

    Args:
        address: of the cluster, "host:port" or "auto"; if None the one that this process is connected to, or else a
            cluster of this machine alone, for as long as the run takes.
        workers: tasks at once; None for as many as the cluster takes.

    Raises:
        ValueError: if Ray is not installed, or the workers are none.
    """

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        super().__init__(workers)
        self.address = address
        self._ray: Any = extra_package("ray", "ray")
        self._is_ours = False

    def begin(self, job: Job) -> Any:  # noqa: ANN401 - a reference of Ray's
        """See `WorkerEngine.begin`."""
        self._connect()
        task = self._ray.remote(work).options(num_cpus=1, max_retries=RETRIES, name=job.cell.key)
        return task.remote(job._replace(folder=job.folder.absolute()))

    def ended(self, handles: Collection[Any]) -> list[Any]:
        """See `WorkerEngine.ended`."""
        ready, _ = self._ray.wait(list(handles), timeout=POLL_SECONDS)
        return list(ready)

    def outcome(self, handle: Any, job: Job) -> Outcome:  # noqa: ANN401 - a reference of Ray's
        """See `WorkerEngine.outcome`."""
        try:
            outcome: Outcome = self._ray.get(handle)
        except self._ray.exceptions.RayError as error:
            return Outcome(job.cell, reason=f"Ray lost it: {shown_reason(error)}")
        return outcome

    def close(self, running: Mapping[Any, Job]) -> None:
        """See `WorkerEngine.close`."""
        for handle in running:
            self._ray.cancel(handle)
        if running:
            self._ray.wait(list(running), num_returns=len(running), timeout=GRACE_SECONDS)
        if self._is_ours:
            self._ray.shutdown()
            self._is_ours = False

    def _connect(self) -> None:
        if self._ray.is_initialized():
            return
        own = {"num_cpus": self.workers, "include_dashboard": False} if self.address is None else {}
        try:
            _refuse_silence(self.address)
            self._ray.init(
                address=self.address or "local", log_to_driver=False, logging_level=logging.ERROR, **own
            )  # fmt: skip
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(
                f"got address={shown(self.address)}, where no Ray cluster can be had ({shown_reason(error)}); start "
                "one with `ray start --head` and give the address that it says"
            ) from error
        self._is_ours = True


def _refuse_silence(address: str | None) -> None:
    """Refuses an address where nobody listens; Ray would try it for minutes.

    Raises:
        OSError: if so.
        ValueError: if it is no address.
    """
    if address not in (None, "auto", "local"):
        where = urlsplit(address if "//" in address else f"//{address}")
        if where.hostname is None or where.port is None:
            raise ValueError("neither host:port nor auto")
        socket.create_connection((where.hostname, where.port), timeout=_CONNECT_SECONDS).close()
