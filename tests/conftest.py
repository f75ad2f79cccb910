"""Small data and small models that many tests share.

The library is imported by the fixtures that need it: checked types make that a matter of ten seconds, which the process
that only hands tests to others would take as well.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import sys
import threading

import pytest
from hypothesis import settings

TINY_MODEL = {
    "image_size": 14, "channels": [4, 8], "residual": [False, True], "projection": 16, "dim": 16, "predictor_hidden": 8,
}  # fmt: skip

# The same examples each time, so that one commit passes or fails; HYPOTHESIS_PROFILE=default looks for new ones.
settings.register_profile("fixed", derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


def pytest_make_parametrize_id(val):
    """Bytes are named by their number: 64 MiB made an identifier of 256, which each process built and sent."""
    return f"{len(val)} bytes" if isinstance(val, bytes) else None


def pytest_collection_finish():
    """What has been imported and collected stays to the end, so that it need not be searched for garbage each time."""
    gc.collect()
    gc.freeze()


@contextlib.contextmanager
def _measured_as_marked(node):
    """Tests marked `no_cover` are not traced, nor are fixtures made for one of them, or for a module so marked.

    pytest-cov stops what measures in their process, but in a process of pytest-xdist it had begun two measurements: the
    first goes on where the second is stopped, takes as long, and what it finds is not kept.
    """
    tracer, in_threads = sys.gettrace(), threading.gettrace()
    measures = type(tracer).__module__.partition(".")[0] == "coverage"  # not so a debugger
    if not measures or node.get_closest_marker("no_cover") is None:
        yield
        return
    sys.settrace(None)
    threading.settrace(None)
    try:
        yield
    finally:
        threading.settrace(in_threads)
        sys.settrace(tracer)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(request):
    with _measured_as_marked(request.node):
        return (yield)


@pytest.hookimpl(wrapper=True, trylast=True)  # within what pytest-cov does
def pytest_runtest_call(item):
    with _measured_as_marked(item):
        return (yield)


@pytest.fixture
def as_users_call_it():
    """Types and shapes are checked by the library alone, not by what checks annotations while tests run."""
    import jaxtyping

    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


#: Of stages and validation, for trainings that only have to take place.
SMALL_SIZES = {
    "encoder": {"num_classes": 8}, "memory": {"tasks": 4}, "end_to_end": {"tasks": 4}, "validation": {"episodes": 4},
}  # fmt: skip


@pytest.fixture
def small_trainings(monkeypatch):
    """Commands that train take few tasks a step, validate on few, and measure on 20."""
    from fastslow.studies import fewshot, quickstart

    small = functools.partial(fewshot.run_fewshot, episodes=20, sizes=SMALL_SIZES)
    monkeypatch.setattr(fewshot, "run_fewshot", small)
    monkeypatch.setattr(quickstart, "run_fewshot", small)


@functools.cache
def _glyphs_drawn_once(**numbers):
    from fastslow.data import make_glyphs

    return make_glyphs(**numbers)


@pytest.fixture
def few_glyphs(monkeypatch):
    """The embedded glyphs, cut to 60 classes of 20 and drawn once, so that loading them takes no time."""
    from fastslow.data import registry as sources

    monkeypatch.setattr(sources, "GLYPH_CLASSES", (40, 10, 10))
    monkeypatch.setattr(sources, "make_glyphs", _glyphs_drawn_once)


@pytest.fixture
def tiny_model():
    """Changes that make a preset small enough to train in a test."""
    return dict(TINY_MODEL)
