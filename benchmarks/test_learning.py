"""Rows of `learning.py` and `training.py` for pytest-benchmark; the ratios come from `ratios.py`."""

from __future__ import annotations

import learning
import pytest
import torch

import training


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("n_way", [5, 20])
@pytest.mark.parametrize("form", learning.FORMS)
def test_learn_one_task(benchmark, form, n_way):
    benchmark.group = f"learn one {n_way}-way 1-shot task"
    benchmark(learning.make(form, n_way))


@pytest.mark.parametrize("n_way", sorted(training.TASKS))
@pytest.mark.parametrize("form", training.FORMS)
def test_meta_training(benchmark, form, n_way):
    benchmark.group = f"meta-training, {n_way}-way, {training.TASKS[n_way]} tasks"
    benchmark(training.make(form, n_way))
