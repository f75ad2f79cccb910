"""The Gaussian model of classes, against what it says in plain probabilities."""

import pytest
import torch

from fastslow.core.gaussian import (
    ClassStatistics,
    class_axes,
    class_forms,
    class_statistics,
    class_sums,
    distances,
    evened,
    posterior,
    statistics_of_sums,
    telling_axes,
)
from fastslow.errors import InputError


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def covariance(size, seed):
    root = torch.randn(size, size, generator=generator(seed), dtype=torch.float64)
    return root @ root.mT / size + 0.2 * torch.eye(size, dtype=torch.float64)


def test_statistics_are_those_that_examples_were_drawn_with():
    within, between, centre = covariance(3, 1), 4 * covariance(3, 2), torch.tensor([1.0, -2.0, 3.0])
    classes, each = 4000, 5
    means = centre + torch.randn(classes, 3, generator=generator()).double() @ torch.linalg.cholesky(between).mT
    noise = torch.randn(classes * each, 3, generator=generator(1)).double() @ torch.linalg.cholesky(within).mT
    labels = torch.arange(classes).repeat_interleave(each)
    found = class_statistics(means[labels] + noise, labels)
    assert torch.allclose(found.centre, centre.double(), atol=0.2)
    assert torch.allclose(found.within, within, atol=0.06)
    assert torch.allclose(found.between, between, atol=0.4)


def test_statistics_of_sums_are_those_of_the_examples():
    labels = torch.tensor([0, 0, 3, 3, 3, 1, 0, 3, 1])  # nothing of class 2
    features = 5 + torch.randn(9, 3, generator=generator(), dtype=torch.float64)
    sums, counts = class_sums(features, labels, 4)
    for found, expected in zip(
        statistics_of_sums(features.mT @ features, sums, counts), class_statistics(features, labels), strict=True
    ):
        assert torch.allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_axes_that_tell_weigh_as_the_likelihood_of_a_second_drawing_does():
    statistics = ClassStatistics(torch.ones(4).double(), covariance(4, 1), covariance(4, 2))
    told = telling_axes(statistics)
    axes = class_axes(statistics)
    first, second = torch.randn(2, 6, 4, generator=generator(), dtype=torch.float64)
    forms = class_forms(posterior(axes.of(first), torch.ones(6, dtype=torch.float64), axes.spread))
    likelihood = distances(axes.of(second), forms).likelihood

    def together(table):  # what depends on both
        return table - table.mean(0) - table.mean(1, keepdim=True) + table.mean()

    product = (second - 1) @ told @ told.mT @ (first - 1).mT
    assert torch.allclose(together(product), together(likelihood))
    assert (told[:, 0] @ statistics.between @ told[:, 0]) > (told[:, -1] @ statistics.between @ told[:, -1])


def test_classes_of_few_examples_do_not_seem_farther_apart():
    labels = torch.arange(3000).repeat_interleave(2)
    alike = class_statistics(torch.randn(6000, 2, generator=generator()), labels)
    assert alike.between.abs().max() < 0.1


def test_on_the_axes_covariances_are_the_identity_and_diagonal():
    statistics = ClassStatistics(torch.ones(4), covariance(4, 1), covariance(4, 2))
    axes = class_axes(statistics)
    turned = [axes.axes.double().mT @ part @ axes.axes.double() for part in statistics[1:]]
    assert torch.allclose(turned[0], torch.eye(4, dtype=torch.float64), atol=1e-5)
    assert torch.allclose(turned[1], axes.spread.double().diag(), atol=1e-5)
    assert not axes.of(torch.ones(1, 4)).any()


def test_an_evened_covariance_is_closer_to_a_plain_distance():
    within = torch.diag(torch.tensor([1.0, 4.0, 9.0])) + 0.5
    assert torch.allclose(evened(within, 1.0), (14 / 3 + 0.5) * torch.eye(3))
    assert torch.allclose(evened(within, 0.25), 0.75 * within + 0.25 * evened(within, 1.0))
    assert torch.equal(evened(within, 0.0), within)


def test_likelihoods_are_those_of_the_next_example_given_all_before():
    """The predictive density is the ratio of two joint densities: of the class with the query, and without."""
    spread, examples = torch.tensor([2.0, 0.5]), torch.randn(3, 2, generator=generator())
    query = torch.randn(1, 2, generator=generator(1))
    known = posterior(examples.sum(0, keepdim=True), torch.tensor([3.0]), spread)
    far, likelihood = distances(query, class_forms(known))

    def joint(rows):
        total = 0.0
        for axis in range(2):
            covariance = torch.eye(len(rows)) + spread[axis]
            total += torch.distributions.MultivariateNormal(torch.zeros(len(rows)), covariance).log_prob(rows[:, axis])
        return total

    log_2_pi = torch.log(torch.tensor(2 * torch.pi))
    assert torch.allclose(likelihood[0, 0] - log_2_pi, joint(torch.cat([examples, query])) - joint(examples), atol=1e-5)
    assert torch.allclose(far, ((query - known.location).square() / known.variance).mean(1, keepdim=True), atol=1e-5)


def test_with_few_degrees_of_freedom_tails_are_those_of_students_t():
    """In one dimension, against torch's own density; of a hundred million, it is Gaussian."""
    sums, counts = torch.tensor([[0.5], [40.0]]).double(), torch.tensor([1.0, 20.0]).double()
    known = posterior(sums, counts, torch.tensor([3.0]).double())
    queries = torch.tensor([[-9.0], [0.1], [1.0], [30.0]]).double()
    far, likelihood = distances(queries, class_forms(known), freedom=4.0)
    scale = known.variance.sqrt().squeeze(1)
    expected = torch.distributions.StudentT(4.0, known.location.squeeze(1), scale).log_prob(queries)
    assert torch.allclose(likelihood.diff(), expected.diff())
    assert torch.allclose(likelihood[1:] - likelihood[0], expected[1:] - expected[0])
    plain = distances(queries, class_forms(known))
    assert torch.equal(far, plain.far)
    assert torch.allclose(distances(queries, class_forms(known), freedom=1e8).likelihood, plain.likelihood, atol=1e-3)


def test_a_class_without_examples_is_what_any_class_may_be_and_many_make_it_sure():
    spread = torch.tensor([3.0])
    none = posterior(torch.zeros(1, 1), torch.zeros(1), spread)
    assert (none.location.item(), none.variance.item()) == (0.0, 4.0)
    many = posterior(torch.full((1, 1), 2e6), torch.tensor([1e6]), spread)
    assert many.location.item() == pytest.approx(2.0, abs=1e-4)
    assert many.variance.item() == pytest.approx(1.0, abs=1e-4)
    one, two = (posterior(torch.full((1, 1), 2.0 * n), torch.tensor([float(n)]), spread) for n in (1, 2))
    assert one.variance > two.variance
    assert one.location < two.location < 2.0  # the fewer, the closer to the centre


def test_a_rare_class_reaches_farther_than_a_frequent_one():
    """Halfway between two means, the class of one example is the likelier one: its mean is less sure."""
    spread = torch.tensor([100.0, 100.0])
    sums, counts = torch.tensor([[-3.0, 0.0], [3000.0, 0.0]]), torch.tensor([1.0, 1000.0])
    classes = posterior(sums, counts, spread)
    likelihood = distances(torch.tensor([[0.0, 0.0], [2.5, 0.0]]), class_forms(classes)).likelihood
    assert likelihood.argmax(1).tolist() == [0, 1]


def test_sums_come_in_order_and_one_by_one_as_at_once():
    features, labels = torch.randn(50, 3, generator=generator()), torch.arange(50) % 4
    sums, counts = class_sums(features, labels, 5)
    assert counts.tolist() == [13, 13, 12, 12, 0]
    by_hand = torch.zeros(5, 3, dtype=torch.float64)
    for row, label in zip(features, labels.tolist(), strict=True):
        by_hand[label] += row.double()
    assert torch.equal(sums, by_hand)


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2], []])
def test_too_few_examples_are_refused(labels):
    with pytest.raises(InputError, match=f"got {len(labels)} examples of .* classes; how features spread needs two"):
        class_statistics(torch.randn(len(labels), 2), torch.tensor(labels, dtype=torch.int64))


def test_features_that_do_not_vary_are_refused():
    with pytest.raises(InputError, match="do not vary within classes"):
        class_axes(ClassStatistics(torch.zeros(2), torch.zeros(2, 2), torch.eye(2)))
    with pytest.raises(InputError, match="do not vary within classes"):
        class_axes(ClassStatistics(torch.zeros(2), torch.diag(torch.tensor([1.0, 0.0])), torch.eye(2)))
