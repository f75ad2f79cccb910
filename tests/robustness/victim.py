"""A process that trains to be killed. Run as a module it makes such processes: forked, since importing torch is slow.

Each line of its input is a task as JSON; for each it answers with the exit code, negative for a signal.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastslow.config import parse
from fastslow.studies import quickstart
from fastslow.studies.fewshot_config import FewShotConfig
from fastslow.training.run import Run
from robustness import tiny
from robustness.stream_saves import learn_and_save

#: What Python tells of before it changes a folder; "half" comes from here.
_EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate", "half"}


def train(runs: Path, *, record: Path | None = None) -> None:
    """Begins or goes on with the tiny training.

    Args:
        runs: folder of run folders.
        record: folder for a copy of every checkpoint, by stage and step.
    """
    save = Run.save_checkpoint

    def recorded(run: Run, state: Any) -> None:
        save(run, state)
        shutil.copy(run.checkpoint_path, record / f"{state['clock']['stage']}-{state['clock']['step']}.pt")

    if record is not None:
        Run.save_checkpoint = recorded
    with tiny.tiny():
        tiny.run(runs, resume=(runs / tiny.NAME / "checkpoint.pt").exists())


def replace(out: Path) -> None:
    """Begins a quickstart, or goes on with one that was interrupted."""
    quickstart.EPISODES = 3
    quickstart.run_fewshot = functools.partial(quickstart.run_fewshot, sizes=tiny.SIZES)
    config = parse(FewShotConfig, {**tiny.OPTIONS, "steps": 3, "name": None})
    runs = [path / config.run_name() for path in (out, out / ".new")]
    interrupted = [run for run in runs if (run / "checkpoint.pt").exists() and not (run / "result.json").exists()]
    with tiny.tiny(save_every=120.0):
        quickstart.run_quickstart(config, out=out, resume=bool(interrupted))


_WORKS: dict[str, Callable[..., None]] = {"train": train, "replace": replace, "save": learn_and_save}


def _count_events(folder: Path, last: int | None, found: list[int]) -> None:
    """Counts what happens to files in a folder; kills this process before the `last` of it."""
    write_bytes = Path.write_bytes

    def in_halves(path: Path, content: Any) -> int:
        write_bytes(path, content[: len(content) // 2])
        sys.audit("half", str(path))
        with path.open("ab") as file:
            return file.write(content[len(content) // 2 :])

    def heard(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _EVENTS and str(arguments[0]).startswith(str(folder)):
            found[0] += 1
            if found[0] == last:
                os.kill(os.getpid(), signal.SIGKILL)

    Path.write_bytes = in_halves
    sys.addaudithook(heard)


def _live(task: dict[str, Any]) -> int:
    """A child's whole life."""
    found, began = [0], time.monotonic()
    try:
        folder = Path(task["folder"])
        _count_events(folder, task.get("event"), found)
        record = {} if "record" not in task else {"record": Path(task["record"])}
        _WORKS[task["work"]](folder, **record)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        Path(task["report"]).write_text(
            json.dumps({"events": found[0], "seconds": time.monotonic() - began}), encoding="utf-8"
        )
    return 0


def _wait(child: int, seconds: float | None) -> int:
    """The exit code of a child that is killed after some seconds, if it still lives then."""
    end = None if seconds is None else time.monotonic() + seconds
    while end is not None:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= end:
            os.kill(child, signal.SIGKILL)
            break
        time.sleep(0.001)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    """Makes a child for each line of the input."""
    import torch._dynamo  # noqa: F401 - the first optimiser imports it, which takes seconds

    for line in sys.stdin:
        task = json.loads(line)
        child = os.fork()
        if child == 0:
            code = _live(task)
            sys.stderr.flush()
            os._exit(code)
        print(_wait(child, task.get("seconds")), flush=True)


if __name__ == "__main__":
    main()
