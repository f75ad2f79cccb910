"""What it costs to learn a task."""

from __future__ import annotations

import pytest
import torch

from fastslow.methods import build_method
from fastslow.methods.config import preset
from fastslow.methods.files import TrainedModel, save_model
from fastslow.protocol.cost import learning_cost

CHANNELS, SIZE, WAYS = 4, 8, 3


@pytest.fixture
def saved(tmp_path):
    def save(method):
        config = preset(
            "paper", method=method, channels=(CHANNELS,), residual=(False,), image_size=SIZE, n_way=WAYS, dim=5
        )
        model = TrainedModel(build_method(config).eval(), config, {})
        save_model(tmp_path / "m.safetensors", model)
        return tmp_path / "m.safetensors", model

    return save


def test_operations_are_those_of_the_encoder_and_the_class_means(saved):
    path, model = saved("protonet")
    threads = torch.get_num_threads()
    cost = learning_cost(path, n_way=WAYS, n_shot=2)
    convolution = 2 * (WAYS * 2) * CHANNELS * 9 * SIZE**2  # a multiplication and an addition
    features = CHANNELS * (SIZE // 2) ** 2
    means = 2 * WAYS * (WAYS * 2) * features
    assert cost["learn_mflop"].mean == pytest.approx((convolution + means) / 1e6)
    tensors = model.method.state_dict().values()
    assert cost["model_mib"].mean == sum(t.numel() * t.element_size() for t in tensors) / 2**20
    assert torch.get_num_threads() == threads
    assert cost["learn_ms"].mean > 0
    assert cost["learn_ms"].count == 20
    assert {name: number.unit for name, number in cost.items() if name != "learn_mib"} == {
        "learn_ms": "ms", "learn_mflop": "MFLOP", "model_mib": "MiB",
    }  # fmt: skip
    assert "learn_mib" not in cost or 0 <= cost["learn_mib"].mean < 500


def test_gradient_steps_cost_more_operations_than_means_and_no_memory_that_torch_takes_once(saved):
    plain, tuned = (learning_cost(saved(name)[0], n_way=WAYS, n_shot=1) for name in ("protonet", "maml"))
    assert tuned["learn_mflop"].mean > 2 * plain["learn_mflop"].mean
    if "learn_mib" in plain:  # what torch loads to take gradients of functions are 84 MiB
        assert tuned["learn_mib"].mean < plain["learn_mib"].mean + 20
