import math

import pytest
import torch
from torch.testing import assert_close

from fastslow.core import encoders
from fastslow.core.encoders import ConvEncoder, build_encoder, images_per_pass
from fastslow.errors import InputError
from fastslow.methods.protonet import PrototypicalNetwork
from fastslow.protocol.features import embed, to_unit
from fastslow.protocol.fewshot import QUERIES_PER_CLASS, accuracy_with_interval, evaluate_episodes


def data(num_classes=7, num_each=18, spread=1.0):
    """Features of classes that overlap, so that accuracies lie between chance and 1."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(num_classes).repeat_interleave(num_each)
    means = torch.randn(num_classes, 4, generator=generator)
    return means[labels] + spread * torch.randn(len(labels), 4, generator=generator), labels


def nearest_mean(support, labels, query):
    encoder = build_encoder(channels=(1,), residual=(False,), image_size=4, projection=4)
    return PrototypicalNetwork(encoder=encoder, num_classes=3)(support, labels, query)


def evaluate(classify=nearest_mean, *, episodes=11, **options):
    features, labels = data()
    return evaluate_episodes(classify, features, labels, n_way=3, n_shot=2, episodes=episodes, **options)


@pytest.mark.parametrize("tasks_per_batch", [1, 4, 11, 50])
def test_accuracies_do_not_depend_on_the_tasks_side_by_side(tasks_per_batch):
    accuracies = evaluate(tasks_per_batch=tasks_per_batch)
    assert torch.equal(accuracies, evaluate())
    assert accuracies.shape == (11,)
    assert len(accuracies.unique()) > 3


def test_a_seed_names_the_episodes_and_fewer_are_the_first_of_more():
    assert torch.equal(evaluate(), evaluate())
    assert torch.equal(evaluate(episodes=5), evaluate()[:5])
    torch.manual_seed(123)
    assert torch.equal(evaluate(seed=2020), evaluate())  # test episodes have a seed of their own
    assert not torch.equal(evaluate(seed=1), evaluate())


def test_an_accuracy_is_the_share_of_right_answers():
    seen = []

    def always_the_first(support, labels, query):
        seen.append((support.shape, labels.shape, query.shape))
        logits = torch.zeros(*query.shape[:2], 5)
        logits[..., 0] = 1
        logits[..., 3:] = 2  # more classes than the episode has: never the answer
        return logits

    accuracies = evaluate(always_the_first, episodes=3, tasks_per_batch=2)
    assert_close(accuracies, torch.full((3,), 1 / 3))
    assert seen[0] == ((2, 6, 4), (2, 6), (2, 3 * QUERIES_PER_CLASS, 4))
    assert seen[1][0] == (1, 6, 4)


def test_an_answer_that_is_no_number_is_wrong():
    def never(support, labels, query):
        return torch.full((*query.shape[:2], 5), torch.nan)

    assert evaluate(never, episodes=3).tolist() == [0.0] * 3


def test_the_labels_a_classifier_gets_are_those_of_its_support_set():
    # Classes without spread: a right classifier makes no mistake, one that gets other labels does.
    features, labels = data(spread=0.0)
    accuracies = evaluate_episodes(nearest_mean, features, labels, n_way=3, n_shot=1, episodes=10)
    assert torch.equal(accuracies, torch.ones(10))


def test_progress_counts_the_episodes():
    done = []
    evaluate(tasks_per_batch=4, on_progress=done.append)
    assert done == [4, 8, 11]


def test_refuses_data_without_enough_queries():
    features, labels = data(num_each=16)
    with pytest.raises(InputError, match=r"3-way episodes need 3 classes with at least 2 \+ 15 images"):
        evaluate_episodes(nearest_mean, features, labels, n_way=3, n_shot=2, episodes=1)


def test_interval_by_hand():
    # Mean 0.7; deviations of 0.1 either way: variance 0.04 / 3, over 4 episodes.
    accuracy = accuracy_with_interval(torch.tensor([0.6, 0.8, 0.6, 0.8]))
    assert accuracy.mean == pytest.approx(0.7)
    assert accuracy.half_width == pytest.approx(1.96 * math.sqrt(0.04 / 3) / 2, rel=1e-6)
    assert accuracy.count == 4


def test_one_episode_has_no_interval():
    accuracy = accuracy_with_interval(torch.tensor([0.5]))
    assert (accuracy.mean, accuracy.half_width, accuracy.count) == (0.5, None, 1)


def test_to_unit():
    images = torch.tensor([[[0, 51], [255, 102]]], dtype=torch.uint8)
    assert_close(to_unit(images), torch.tensor([[[[0.0, 0.2], [1.0, 0.4]]]]))


def test_bytes_become_single_precision_whatever_torchs_default_is():
    torch.set_default_dtype(torch.float64)
    try:
        assert to_unit(torch.zeros(1, 2, 2, dtype=torch.uint8)).dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.fixture
def small_passes(monkeypatch):
    """Passes of 8 images of the encoder below: 8 x 8 pixels, 2 channels, 4 bytes each."""
    monkeypatch.setattr(encoders, "BYTES_PER_PASS", 8 * 8 * 8 * 2 * 4)


def encoder_and_images(num=21):
    torch.manual_seed(0)
    encoder = ConvEncoder(channels=(2, 3), image_size=8)
    for _ in range(5):
        encoder(torch.rand(16, 1, 8, 8))
    return encoder, torch.randint(0, 256, (num, 8, 8), dtype=torch.uint8)


@pytest.mark.parametrize("training", [True, False])
def test_embed_puts_the_training_mode_back_and_leaves_the_statistics(training, small_passes):
    encoder, images = encoder_and_images()
    encoder.train(training)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    features = embed(encoder, images)
    assert all(part.training == training for part in encoder.modules())
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert not features.requires_grad
    # Under frozen statistics each image is embedded as if alone, in whichever pass.
    assert_close(features[-1:], encoder.eval()(to_unit(images[-1:])), rtol=1e-5, atol=1e-5)
    assert_close(features, encoder(to_unit(images)), rtol=1e-5, atol=1e-5)


def test_embed_puts_back_a_part_that_was_frozen_on_its_own():
    encoder, images = encoder_and_images()
    encoder.train()
    encoder.blocks[0].norm.eval()
    embed(encoder, images)
    assert not encoder.blocks[0].norm.training
    assert encoder.blocks[1].norm.training


def test_embed_passes_are_of_a_bounded_size(small_passes):
    encoder, images = encoder_and_images()
    sizes = []
    encoder.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    embed(encoder, images)
    assert images_per_pass(encoder) == 8
    assert sizes == [8, 8, 5]


def test_a_method_embeds_in_its_own_way():
    class Pixels(PrototypicalNetwork):
        def embed(self, inputs):
            return inputs

    _, images = encoder_and_images()
    method = Pixels(encoder=build_encoder(channels=(2,), residual=(False,), image_size=8, projection=0), num_classes=2)
    assert torch.equal(embed(method, images), to_unit(images))
    assert method.training
