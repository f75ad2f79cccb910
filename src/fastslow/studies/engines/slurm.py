"""Cells as jobs of a Slurm cluster, by submitit."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

from fastslow.errors import InputError, shown, shown_reason
from fastslow.studies.engines.base import GRACE_SECONDS, POLL_SECONDS, WorkerEngine, extra_package
from fastslow.studies.jobs import Job, Outcome, work

#: What is asked of Slurm for each cell, by the names of `sbatch`; time in minutes.
DEFAULTS: Mapping[str, object] = {"cpus_per_task": 1, "time": 240}


class ResumableJob:
    """What a Slurm job runs: one that is preempted or over its time is queued again, and goes on from its checkpoint.

    Args:
        job: to run.
    """

    def __init__(self, job: Job) -> None:
        self.job = job

    def __call__(self) -> Outcome:
        """Runs the job."""
        return work(self.job)

    def checkpoint(self) -> Any:  # noqa: ANN401 - submitit's
        """What submitit queues in place of a job that is being taken away."""
        return extra_package("submitit", "slurm").helpers.DelayedSubmission(self)


class SlurmEngine(WorkerEngine[Any]):
    """A Slurm job for each cell; the machines share the folder of results. A handle is a job of submitit.

    Args:
        folder: for submitit's scripts and what the jobs say.
        workers: jobs at once, waiting ones included; None for all.
        options: over `DEFAULTS`, by the names of `sbatch` with underscores: partition, time, mem, account, ...
        cluster: "slurm"; "local" for processes on this machine in place of it, to try things out.

    Raises:
        ValueError: if submitit or Slurm is not here, an option is none, or the workers are none.
    """

    def __init__(
        self,
        folder: str | Path,
        workers: int | None = None,
        options: Mapping[str, object] | None = None,
        cluster: Literal["slurm", "local"] = "slurm",
    ) -> None:
        super().__init__(workers)
        self._submitit: Any = extra_package("submitit", "slurm")
        minutes = (options or {}).get("time", DEFAULTS["time"])
        if type(minutes) is not int or minutes < 1:
            raise InputError(f"got slurm.time={shown(minutes)}; give a whole number of minutes, at least 1")
        asked = {f"slurm_{name}": value for name, value in {**DEFAULTS, **(options or {})}.items()}
        try:
            self._executor: Any = self._submitit.AutoExecutor(folder=Path(folder).absolute(), cluster=cluster)
            self._executor.update_parameters(**asked)
        except (NameError, RuntimeError, TypeError, ValueError) as error:
            said = str(error).partition("\n")[0]  # which names the right options
            raise InputError(f"got slurm={shown(dict(options or {}))}; Slurm cannot be used so: {said}") from error

    def begin(self, job: Job) -> Any:  # noqa: ANN401 - a job of submitit
        """See `WorkerEngine.begin`."""
        try:
            return self._executor.submit(ResumableJob(job._replace(folder=job.folder.absolute())))
        except self._submitit.core.utils.FailedJobError as error:
            raise InputError(f"Slurm does not take the job: {shown_reason(error)}; mend --slurm.* options") from error

    def ended(self, handles: Collection[Any]) -> list[Any]:
        """See `WorkerEngine.ended`."""
        done = [handle for handle in handles if handle.done()]
        if not done:
            time.sleep(POLL_SECONDS)
        return done

    def outcome(self, handle: Any, job: Job) -> Outcome:  # noqa: ANN401 - a job of submitit
        """See `WorkerEngine.outcome`."""
        utils = self._submitit.core.utils
        try:
            outcome: Outcome = handle.result()
        except (utils.UncompletedJobError, utils.FailedJobError):
            return Outcome(job.cell, reason=f"its Slurm job was lost (see {handle.paths.stderr})", again=True)
        return outcome

    def close(self, running: Mapping[Any, Job]) -> None:
        """See `WorkerEngine.close`."""
        for handle in running:
            handle.cancel(check=False)
        deadline = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < deadline and not all(handle.done(force_check=True) for handle in running):
            time.sleep(POLL_SECONDS)
