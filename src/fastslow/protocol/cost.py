"""What it costs to learn one task, images in, at batch 1 on one thread: time, operations, memory, size of the model."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import grad, vmap
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from fastslow.methods.base import Method
from fastslow.methods.files import load_model
from fastslow.protocol.result import Interval

#: Timed runs, at least as many whatever they take, and seconds after which there is none more.
_RUNS, _LEAST, _SECONDS = 20, 3, 5.0


def learning_cost(model: str | Path, *, n_way: int, n_shot: int) -> dict[str, Interval]:
    """Cost of one support set, from images to the state that answers.

    The encoder has its batch norm folded where the method embeds by it alone.

    Args:
        model: a run folder or model file, see `load_model`.
        n_way: classes in the task.
        n_shot: examples of each.

    Returns:
        "learn_ms": milliseconds, the median and its interval (McGill, Tukey, Larsen 1978); "learn_mflop": millions of
        floating-point operations in convolutions and products (`torch.utils.flop_counter`), two for a multiplication
        and its addition; "learn_mib": rise of a fresh process's peak memory in its first task, but for what torch sets
        up once, where the system tells it; "model_mib": parameters and buffers.
    """
    method = load_model(model).method
    size = sum(t.numel() * t.element_size() for t in method.state_dict().values()) / 2**20
    ready = _ready(method)
    images, labels = _task(ready, n_way, n_shot)
    with _one_thread():
        times = _times(ready, images, labels)
        counter = FlopCounterMode(display=False)
        with counter:
            _learn(ready, images, labels)
    low, middle, high = statistics.quantiles(times, n=4)
    cost = {
        "learn_ms": Interval(1e3 * middle, 1e3 * 1.57 * (high - low) / len(times) ** 0.5, len(times), "ms"),
        "learn_mflop": Interval(counter.get_total_flops() / 1e6, None, 1, "MFLOP"),
    }
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        rise = pool.submit(_rise, str(model), n_way, n_shot).result()
    if rise is not None:
        cost["learn_mib"] = Interval(rise, None, 1, "MiB")
    return cost | {"model_mib": Interval(size, None, 1, "MiB")}


def _ready(method: Method[object]) -> Method[object]:
    """A method in evaluation mode, its encoder folded where nothing else reads it; convolutions are torch's own."""
    if type(method).embed is Method.embed:
        method.encoder = method.encoder.folded()
    return method.eval().requires_grad_(method.needs_autograd)


def _task(method: Method[object], n_way: int, n_shot: int) -> tuple[Float[Tensor, "images 1 size size"], Tensor]:
    size, generator = method.encoder.image_size, torch.Generator(device="cpu").manual_seed(0)
    images = torch.rand(n_way * n_shot, 1, size, size, generator=generator, dtype=torch.float32)
    return images, torch.arange(n_way).repeat_interleave(n_shot).unsqueeze(0)


def _learn(method: Method[object], images: Tensor, labels: Tensor) -> None:
    with torch.no_grad():  # what takes gradients to learn does so by itself
        method.learn(method.embed(images).unsqueeze(0), labels)


def _times(method: Method[object], images: Tensor, labels: Tensor) -> list[float]:
    """Seconds of each run, after one that is not counted."""
    began, times = time.perf_counter(), [_timed(method, images, labels)]
    while len(times) <= _LEAST or (len(times) <= _RUNS and time.perf_counter() - began < _SECONDS):
        times.append(_timed(method, images, labels))
    return times[1:]


def _timed(method: Method[object], images: Tensor, labels: Tensor) -> float:
    began = time.perf_counter()
    _learn(method, images, labels)
    return time.perf_counter() - began


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _rise(model: str, n_way: int, n_shot: int) -> float | None:
    """In a process of its own: MiB that its peak rises by in the first task; None where the system does not tell."""
    torch.set_num_threads(1)
    method = _ready(load_model(model).method)
    images, labels = _task(method, n_way, n_shot)
    _set_up()
    _give_back()
    before = _high_water_mark()
    _learn(method, images, labels)
    after = _high_water_mark()
    return None if before is None or after is None else after - before


def _set_up() -> None:
    """What torch does once in a process: kernels of convolutions, and for gradients of functions modules of 84 MiB."""
    weight, images = torch.ones(16, 1, 3, 3), torch.ones(2, 1, 1, 4, 4)
    vmap(grad(lambda weight, image: F.conv2d(image, weight).square().sum()), (None, 0))(weight, images)


def _give_back() -> None:
    """What was freed goes back to the system, and the high-water mark down to what is in use, where Linux lets us."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _high_water_mark() -> float | None:
    """MiB of this process at its largest (Linux); not `ru_maxrss`, which a child takes over from its parent."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    sizes = [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")]
    return sizes[0] if sizes else None
