import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import fastslow
from fastslow.errors import InputError
from fastslow.training import distributed

#: One of two processes: the gradient of its share of 8 examples, averaged, and all that it sees of the other.
WORKER = """
import sys
import torch
from torch import nn
from fastslow.training import distributed

distributed.start()
distributed.start()  # a second call does nothing
rank = distributed.rank()
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
unused = nn.Parameter(torch.ones(2))
inputs, target = torch.randn(8, 3), torch.randn(8, 2)
loss = nn.functional.mse_loss(model(distributed.share(inputs)), distributed.share(target))
loss.backward()
distributed.average_gradients([*model.parameters(), unused])
norm = nn.BatchNorm1d(2)
norm.running_mean += 10 * (rank + 1)
norm.num_batches_tracked += 7
distributed.average_buffers(norm)
result = {
    "rank": rank,
    "world_size": distributed.world_size(),
    "share": distributed.share(torch.arange(6)),
    "grads": [parameter.grad for parameter in model.parameters()],
    "unused": unused.grad,
    "buffers": [norm.running_mean, norm.running_var, norm.num_batches_tracked],
    "one flag": distributed.any_process(rank == 1),
    "no flag": distributed.any_process(False),
}
try:
    distributed.share(torch.arange(7))
except ValueError as error:
    result["refusal"] = str(error)
torch.save(result, sys.argv[1])
distributed.stop()
assert distributed.world_size() == 1
"""


#: One of two processes that train for a time: a step takes longer in the second of them.
TIMED = """
import sys, time
import torch
from torch import nn
from fastslow.training import distributed
from fastslow.training.length import Length
from fastslow.training.loop import Habits, train

class Stage:
    share, learning_rate, clip, tasks = 1.0, 0.1, None, 2
    def __init__(self, name, parameter):
        self.name, self.parameter = name, parameter
    def parameters(self):
        return [self.parameter]
    def begin(self, step):
        pass
    def loss(self, done):
        time.sleep(0.002 + 0.01 * distributed.rank())
        return self.parameter.sum()
    def end(self):
        pass

distributed.start()
model = nn.Linear(1, 1)
nn.init.ones_(model.weight)
seen = []
stages = [Stage("first", model.weight), Stage("second", model.bias)]
clock = train(
    model, stages, length=Length(minutes=0.01), habits=Habits(weight_decay=0.0, warmup=0),
    on_step=lambda progress: seen.append([progress.step, progress.done, model.weight.item()]),
)
torch.save({"seen": seen, "seconds": clock.total_seconds}, sys.argv[1])
distributed.stop()
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def run_two(script, folder):
    """What each of two gloo processes saved, started with the variables that `torchrun` sets."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(fastslow.__file__).parents[1]),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": free_port(),
        "WORLD_SIZE": "2",
    }
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(folder / f"{rank}.pt")], env={**environment, "RANK": str(rank)}
        )
        for rank in range(2)
    ]
    try:
        assert [worker.wait(timeout=120) for worker in workers] == [0, 0]
    finally:
        for worker in workers:
            worker.kill()
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return run_two(WORKER, tmp_path_factory.mktemp("distributed"))


@pytest.mark.slow
def test_averaged_gradients_are_those_of_the_joined_batch(results):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    inputs, target = torch.randn(8, 3), torch.randn(8, 2)
    nn.functional.mse_loss(model(inputs), target).backward()
    for result in results:
        for grad, parameter in zip(result["grads"], model.parameters(), strict=True):
            assert_close(grad, parameter.grad)
        assert result["unused"] is None


@pytest.mark.parametrize("dtypes", [[torch.float32] * 3, [torch.float32, torch.float64, torch.float32]], ids=str)
def test_tensors_of_a_type_are_averaged_in_one_message(monkeypatch, dtypes):
    messages = []

    def all_reduce(flat):
        messages.append(flat.numel())
        flat *= 2  # as if another process had the same, and one more of it

    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(distributed.dist, "all_reduce", all_reduce)
    parameters = [nn.Parameter(torch.zeros(2, 3, dtype=dtype)) for dtype in dtypes]
    for number, parameter in enumerate(parameters):
        parameter.grad = torch.arange(6, dtype=parameter.dtype).view(3, 2).mT + number
    expected = [parameter.grad.clone() for parameter in parameters]
    distributed.average_gradients([*parameters, nn.Parameter(torch.ones(2))])
    assert sum(messages) == 18
    assert len(messages) == len(set(dtypes))
    for parameter, grad in zip(parameters, expected, strict=True):
        assert torch.equal(parameter.grad, grad)


@pytest.mark.slow
def test_processes_have_ranks_and_disjoint_shares(results):
    assert [result["rank"] for result in results] == [0, 1]
    assert [result["world_size"] for result in results] == [2, 2]
    assert [result["share"].tolist() for result in results] == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.slow
def test_an_indivisible_batch_is_refused_by_every_process(results):
    for result in results:
        assert result["refusal"].startswith("7 tasks a step do not divide among 2 processes")


@pytest.mark.slow
def test_floating_point_buffers_are_averaged_and_counts_left(results):
    for result in results:
        mean, variance, count = result["buffers"]
        assert mean.tolist() == [15, 15]
        assert variance.tolist() == [1, 1]
        assert count.item() == 7


@pytest.mark.slow
def test_a_flag_in_one_process_is_seen_by_all(results):
    assert [result["one flag"] for result in results] == [True, True]
    assert [result["no flag"] for result in results] == [False, False]


@pytest.mark.slow
def test_processes_that_train_for_minutes_see_one_clock_and_take_the_same_steps(tmp_path):
    first, second = run_two(TIMED, tmp_path)
    assert first == second
    assert first["seconds"] >= 0.01 * 60
    assert len(first["seen"]) >= 4


def test_alone_a_process_is_the_only_one(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    distributed.start()
    assert (distributed.rank(), distributed.world_size()) == (0, 1)
    batch = torch.arange(5)
    assert torch.equal(distributed.share(batch), batch)
    assert distributed.any_process(True) is True
    assert distributed.any_process(False) is False
    assert distributed.largest(0.1) == 0.1
    distributed.stop()


def test_alone_gradients_and_buffers_stay_as_they_are():
    parameter, norm = nn.Parameter(torch.ones(2)), nn.BatchNorm1d(2)
    parameter.grad = torch.tensor([3.0, 4.0])
    norm.running_mean += 5
    distributed.average_gradients([parameter, nn.Parameter(torch.ones(1))])
    distributed.average_buffers(norm)
    assert parameter.grad.tolist() == [3, 4]
    assert norm.running_mean.tolist() == [5, 5]


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_a_share_is_one_of_equal_pieces(monkeypatch, rank):
    monkeypatch.setattr(distributed, "world_size", lambda: 3)
    monkeypatch.setattr(distributed, "rank", lambda: rank)
    assert distributed.share(torch.arange(6)).tolist() == [2 * rank, 2 * rank + 1]


def test_an_indivisible_batch_is_refused(monkeypatch):
    monkeypatch.setattr(distributed, "world_size", lambda: 3)
    with pytest.raises(InputError, match="8 tasks a step do not divide among 3 processes; start a number of processes"):
        distributed.share(torch.arange(8))
