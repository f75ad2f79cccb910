"""The write gate: agreement of labels with the other examples, against a loop and a case by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from fastslow.core import write_gate
from fastslow.core.write_gate import LEAST, agreement, drawn_together, members_of

CLASSES = 3


def example(seed=0, tasks=2):
    """Keys near a centre of their class, one of each task under a wrong label, and two slots never written."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.tensor([0, 0, 0, 1, 1, 1, 1, 2, -1, -1]).repeat(tasks, 1)
    centres = 3 * torch.randn(tasks, CLASSES, 4, generator=generator, dtype=torch.float64)
    noise = torch.randn(tasks, labels.shape[1], 4, generator=generator, dtype=torch.float64)
    keys = centres.gather(1, labels.clamp_min(0).unsqueeze(-1).expand_as(noise)) + 0.5 * noise
    labels[:, 6] = 0  # of class 1 by its key
    return keys, labels, members_of(labels, torch.eye(CLASSES, dtype=torch.float64))


def slow_agreement(keys, labels, sharpness):
    """One task, one example and one class at a time."""
    shown = [n for n, label in enumerate(labels) if label >= 0]
    gates = [1.0] * len(labels)
    for _ in range(write_gate.PASSES):
        found = list(gates)
        for n in shown:
            scores = {}
            for label in {labels[m] for m in shown}:
                of_class = [m for m in shown if labels[m] == label and m != n]
                if of_class:
                    mean = sum(gates[m] * keys[m] for m in of_class) / sum(gates[m] for m in of_class)
                    scores[label] = math.exp(-0.5 * sharpness * float((keys[n] - mean).square().sum()))
            if labels[n] in scores:
                found[n] = max(LEAST, scores[labels[n]] / sum(scores.values()))
        gates = found
    return gates


def test_gates_are_those_of_a_loop_over_tasks_examples_and_classes():
    keys, labels, members = example()
    slow = [slow_agreement(keys[task], labels[task].tolist(), 0.4) for task in range(2)]
    assert_close(agreement(keys, members, 0.4), torch.tensor(slow, dtype=torch.float64), atol=1e-9, rtol=1e-7)


def test_a_gate_by_hand():
    """On a line: two of class 0 at 0, two of class 1 at 1, all means where their examples are in both passes."""
    keys = torch.tensor([[[0.0], [0.0], [1.0], [1.0]]], dtype=torch.float64)
    members = members_of(torch.tensor([[0, 0, 1, 1]]), torch.eye(2, dtype=torch.float64))
    # Squared distances 0 and 1, sharpness 2 ln 3: scores 1 and 1/3, the right class gets 3/4.
    assert_close(agreement(keys, members, 2 * math.log(3)), torch.full((1, 4), 0.75, dtype=torch.float64))


def test_a_wrong_label_is_written_less_and_what_is_alone_in_its_class_in_full():
    keys, _, members = example()
    gates = agreement(keys, members, 1.0)
    assert (gates[:, 6] < 0.05).all()
    assert (gates[:, :6] > 0.5).all()
    assert torch.equal(gates[:, 7:], torch.ones(2, 3, dtype=torch.float64))


def test_keys_go_halfway_to_the_gated_mean_of_their_class_and_stay_where_they_are_alone():
    keys, _, members = example()
    gates = agreement(keys, members, 1.0)
    drawn = drawn_together(keys, members, gates)
    assert torch.equal(drawn[:, 7:], keys[:, 7:])
    mean = (gates[0, 3:6, None] * keys[0, 3:6]).sum(0) / gates[0, 3:6].sum()
    assert_close(drawn[0, 3:6], 0.5 * keys[0, 3:6] + 0.5 * mean)


def test_gates_follow_a_permutation_of_the_slots():
    keys, _, members = example()
    order = torch.randperm(keys.shape[1], generator=torch.Generator().manual_seed(1))
    assert_close(agreement(keys[:, order], members[:, order], 0.4), agreement(keys, members, 0.4)[:, order])


@pytest.mark.parametrize("sharpness", [0.4, 1e4])
def test_gradients_are_finite_also_of_equal_keys_and_gates_at_their_least(sharpness):
    keys, _, members = example()
    keys[:, 1] = keys[:, 0]
    keys.requires_grad_()
    gates = agreement(keys, members, sharpness)
    assert (gates >= LEAST).all()
    drawn_together(keys, members, gates).square().sum().backward()
    assert torch.isfinite(keys.grad).all()
