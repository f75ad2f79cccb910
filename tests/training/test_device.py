"""Devices by name: what is not there is refused in words."""

from __future__ import annotations

import pytest
import torch

from fastslow.errors import InputError
from fastslow.training.device import pick_device


def having(monkeypatch, *gpus):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in gpus)


@pytest.mark.parametrize(
    ("name", "gpus", "expected"),
    [
        ("auto", (), "cpu"),
        ("auto", ("cuda",), "cuda"),
        ("auto", ("mps",), "cpu"),
        ("cpu", ("cuda", "mps"), "cpu"),
        ("cuda", ("cuda",), "cuda"),
        ("mps", ("mps",), "mps"),
    ],
)
def test_a_name_means_a_device(name, gpus, expected, monkeypatch):
    having(monkeypatch, *gpus)
    assert pick_device(name).type == expected


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_gpu_that_is_not_there_is_refused_with_the_cure(name, monkeypatch):
    having(monkeypatch)
    with pytest.raises(InputError, match=f"got device={name}, but torch finds no GPU for it here; use --device cpu"):
        pick_device(name)


@pytest.mark.parametrize("name", ["tpu", "", "cuda:0"])
def test_other_names_are_refused(name):
    with pytest.raises(InputError, match="choose from"):
        pick_device(name)
