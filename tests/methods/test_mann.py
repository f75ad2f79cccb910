import dataclasses
from itertools import pairwise

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from fastslow.core.encoders import ConvEncoder, ImageEncoder
from fastslow.errors import InputError
from fastslow.methods import build_method
from fastslow.methods.base import Task
from fastslow.methods.config import PRESETS
from fastslow.methods.mann import MemoryAugmentedNetwork, least_used, read_written

FEATURES, WAYS, ROWS, ROW_DIM, DIM, HEADS = 5, 3, 6, 4, 7, 2


def make(**sizes):
    """A small network in double precision whose memory is full after three steps, each weight moved."""
    torch.manual_seed(0)
    encoder = ImageEncoder(ConvEncoder(channels=(FEATURES,), image_size=2), None)
    sizes = {"num_rows": ROWS, "row_dim": ROW_DIM, "dim": DIM, "num_heads": HEADS, **sizes}
    method = MemoryAugmentedNetwork(encoder=encoder, num_classes=WAYS, **sizes).double()
    for parameter in method.parameters():
        parameter.data.add_(0.5 * torch.randn_like(parameter))
    return method


def task(n_shot=4, n_query=4, tasks=2, seed=1):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.stack([torch.arange(WAYS).repeat(n_shot)[torch.randperm(WAYS * n_shot)] for _ in range(tasks)])
    support = torch.randn(tasks, WAYS * n_shot, FEATURES, generator=generator, dtype=torch.float64)
    query = torch.randn(tasks, n_query, FEATURES, generator=generator, dtype=torch.float64)
    return support, labels, query, torch.randint(WAYS, (tasks, n_query), generator=generator)


class SlowStream:
    """The paper's equations for one task, row by row and head by head, on a memory that is really written."""

    def __init__(self, method):
        self.method, self.lstm = method, torch.nn.LSTMCell(FEATURES + WAYS + HEADS * ROW_DIM, DIM).double()
        self.lstm.load_state_dict(method.controller.state_dict())
        self.hidden, self.cell = torch.zeros(2, DIM, dtype=torch.float64)
        self.memory = torch.zeros(ROWS, ROW_DIM, dtype=torch.float64)
        self.read_weights = torch.zeros(HEADS, ROWS, dtype=torch.float64)
        self.read = torch.zeros(HEADS, ROW_DIM, dtype=torch.float64)
        self.usage, self.label = [0.0] * ROWS, torch.zeros(WAYS, dtype=torch.float64)

    def step(self, x):
        """Answers one example; the label of the one before is in `label`."""
        method = self.method
        inputs = torch.cat([x, self.label, self.read.flatten()]).unsqueeze(0)
        hidden, cell = self.lstm(inputs, (self.hidden.unsqueeze(0), self.cell.unsqueeze(0)))
        self.hidden, self.cell = hidden[0], cell[0]
        keys = torch.tanh(method.key_layer(self.hidden)).reshape(HEADS, ROW_DIM)
        gates = torch.sigmoid(method.gate_layer(self.hidden))
        sharpness = F.softplus(method.sharpness_layer(self.hidden))
        free = sorted(range(ROWS), key=lambda row: (self.usage[row], row))[:HEADS]
        memory = self.memory.clone()
        memory[free] = 0
        write_weights = torch.zeros(HEADS, ROWS, dtype=torch.float64)
        for h in range(HEADS):
            for i in range(ROWS):
                write_weights[h, i] = gates[h] * self.read_weights[h, i] + (1 - gates[h]) * (free[h] == i)
        for h in range(HEADS):
            for i in range(ROWS):
                memory[i] = memory[i] + write_weights[h, i] * keys[h]
        read_weights = torch.zeros(HEADS, ROWS, dtype=torch.float64)
        for h in range(HEADS):
            cosines = torch.zeros(ROWS, dtype=torch.float64)
            for i in range(ROWS):
                lengths = memory[i].norm() * keys[h].norm()
                cosines[i] = memory[i] @ keys[h] / lengths if lengths > 0 else 0.0
            read_weights[h] = (sharpness[h] * cosines).softmax(0)
        self.read = torch.stack([sum(read_weights[h, i] * memory[i] for i in range(ROWS)) for h in range(HEADS)])
        total = (read_weights + write_weights).sum(0).tolist()
        self.usage = [0.95 * old + new for old, new in zip(self.usage, total, strict=True)]
        self.memory, self.read_weights = memory, read_weights
        return method.decoder(torch.cat([self.hidden, self.read.flatten()]))

    def show(self, x, label):
        logits = self.step(x)
        self.label = F.one_hot(label, WAYS).double()
        return logits


def slow(method, support, labels, queries):
    """Logits of the support stream as it comes, and of each query from where it ended."""
    streams = [SlowStream(method) for _ in queries]
    with torch.no_grad():
        on_the_way = torch.stack([streams[0].show(x, y) for x, y in zip(support, labels, strict=True)])
        for stream in streams[1:]:
            stream.__dict__.update(streams[0].__dict__)
        return on_the_way, torch.stack([s.step(query) for s, query in zip(streams, queries, strict=True)])


def test_the_rows_used_least_are_shared_out_among_the_heads_by_hand():
    rows = least_used(torch.tensor([[0.3, 0.1, 0.9, 0.2], [0.0, 0.0, 0.0, 0.0]]), 2)
    assert_close(rows, torch.tensor([[[0.0, 1, 0, 0], [0, 0, 0, 1]], [[1.0, 0, 0, 0], [0, 1, 0, 0]]]))


def test_a_read_of_what_was_written_by_hand():
    # The key (3, 4) is written to the second row in full and to the first, (4, -3), not: cosines are 0 and 1.
    kept = torch.tensor([[[4.0, -3.0], [0.0, 0.0]]], dtype=torch.float64)
    keys = torch.tensor([[[[3.0, 4.0]]]], dtype=torch.float64)
    written = torch.tensor([[[[0.0, 1.0]]]], dtype=torch.float64)
    weights, read = read_written(kept, written, keys, torch.full((1, 1, 1), 2.0, dtype=torch.float64))
    first = 1 / (1 + torch.e**2)
    assert_close(weights[0, 0, 0], torch.tensor([first, 1 - first], dtype=torch.float64))
    assert_close(read[0, 0, 0], first * kept[0, 0] + (1 - first) * keys[0, 0, 0])


def test_it_is_the_papers_equations_row_by_row_also_when_rows_are_filled_anew():
    method = make()
    support, labels, query, _ = task()
    steps, state = method.stream(support, labels)
    for b in range(2):
        on_the_way, answers = slow(method, support[b], labels[b], query[b])
        assert_close(torch.stack([method.logits(step)[b, 0] for step in steps]), on_the_way)
        assert_close(method.answer(query, state)[b], answers)


def test_the_label_of_an_example_comes_in_with_the_next_one():
    method = make()
    support, labels, query, _ = task()
    state = method.learn(support, labels)
    other = labels.clone()
    other[:, -1] = (labels[:, -1] + 1) % WAYS
    changed = method.learn(support, other)
    assert torch.equal(state.memory, changed.memory)
    assert torch.equal(state.controller.hidden, changed.controller.hidden)
    assert not torch.allclose(method.answer(query, state), method.answer(query, changed))


def test_rows_are_filled_one_after_another_and_a_full_memory_loses_those_used_least():
    method = make()
    torch.nn.init.constant_(method.gate_layer.bias, -1e3)  # nothing is written where the step before has read
    support, labels, _, _ = task()
    states = [method.learn(support[:, :n], labels[:, :n]) for n in range(5)]
    assert [(state.memory[0].norm(dim=-1) > 0).sum().item() for state in states] == [0, 2, 4, 6, 6]
    for before, after in pairwise(states):
        for b in range(2):
            used = before.usage[b].tolist()
            changed = (before.memory[b] != after.memory[b]).any(-1).nonzero().flatten().tolist()
            assert changed == sorted(sorted(range(ROWS), key=lambda row: (used[row], row))[:HEADS])


def test_the_loss_is_of_queries_and_of_support_examples_whose_class_was_seen_before():
    method = make()
    support, labels, query, query_labels = task()
    losses = []
    for b in range(2):
        on_the_way, answers = slow(method, support[b], labels[b], query[b])
        for n, label in enumerate(labels[b]):
            if label in labels[b, :n]:
                losses.append(F.cross_entropy(on_the_way[n], label))
        losses += [F.cross_entropy(answers[n], query_labels[b, n]) for n in range(4)]
    assert len(losses) == 2 * (9 + 4)
    whole = method.loss(Task(support, labels, query, query_labels))
    assert_close(whole, torch.stack(losses).mean())
    assert torch.equal(method.loss(Task(support, labels, query, query_labels, cut=5)), whole)


def test_every_weight_is_moved_by_training():
    method = make()
    method.loss(Task(*task())).backward()
    still = [name for name, p in method.named_parameters() if not name.startswith("encoder.") and not p.grad.any()]
    assert still == []
    assert all(p.grad.isfinite().all() for n, p in method.named_parameters() if not n.startswith("encoder."))


def test_gradients_of_a_read_are_the_slopes_also_of_empty_rows():
    generator = torch.Generator().manual_seed(0)
    kept = torch.randn(1, 4, 3, generator=generator, dtype=torch.float64)
    write_weights = torch.rand(1, 2, 2, 4, generator=generator, dtype=torch.float64).requires_grad_()
    keys = torch.randn(1, 2, 2, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    sharpness = 1 + torch.rand(1, 2, 2, generator=generator, dtype=torch.float64)
    kept[0, 0] = 0
    assert torch.autograd.gradcheck(read_written, (kept.requires_grad_(), write_weights, keys, sharpness))


def test_a_label_weighs_as_much_as_an_image_at_the_start():
    torch.manual_seed(0)
    encoder = ImageEncoder(ConvEncoder(channels=(64,), image_size=4), None)
    weight = MemoryAugmentedNetwork(encoder=encoder, num_classes=20).controller.weight_ih
    features = torch.randn(1000, 256)
    label = weight[:, 256:276].std()
    assert_close(label, (features @ weight[:, :256].mT).std(), rtol=0.05, atol=0)


def test_there_are_rows_for_as_many_examples_as_the_configuration_has_slots_and_at_least_the_papers():
    rows = {}
    for slots in (26, 101):
        config = dataclasses.replace(PRESETS["default"], method="mann", num_slots=slots)
        rows[slots] = build_method(config).initial_state(1).memory.shape[1]
    assert rows == {26: 128, 101: 404}


def test_the_controller_starts_to_remember():
    torch.manual_seed(0)
    encoder = ImageEncoder(ConvEncoder(channels=(FEATURES,), image_size=2), None)
    controller = MemoryAugmentedNetwork(encoder=encoder, num_classes=WAYS).controller
    biases = (controller.bias_ih + controller.bias_hh).chunk(4)
    assert [part.unique().tolist() for part in biases] == [[0], [1], [0], [0]]  # i, f, g, o


def test_fewer_rows_than_heads_are_refused():
    with pytest.raises(InputError, match="got num_rows=1, num_heads=2; each head needs a row of its own"):
        make(num_rows=1)
