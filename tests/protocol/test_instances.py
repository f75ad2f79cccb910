import pytest
import torch
from torch.testing import assert_close

from fastslow.errors import InputError
from fastslow.methods import build_method
from fastslow.methods.base import Method
from fastslow.methods.config import METHODS, preset
from fastslow.protocol.instances import instance_accuracies


class Remembers(Method[list]):
    """Right if a class was shown at least `needed` times, and wrong before; writes down all that it is given."""

    def __init__(self, method, centres, needed=1):
        super().__init__(encoder=method.encoder, num_classes=4)
        self.centres, self.needed, self.seen = centres, needed, []

    def initial_state(self, batch_size):
        return [torch.empty(batch_size, 0, self.centres.shape[1]), torch.empty(batch_size, 0, dtype=torch.int64)]

    def learn(self, examples, targets, state=None):
        assert examples.shape[1] == 1
        return [torch.cat([state[0], examples], 1), torch.cat([state[1], targets], 1)]

    def answer(self, examples, state):
        self.seen.append((examples, state))
        logits = torch.zeros(*examples.shape[:2], 4)
        logits[..., 3] = 2.0  # a class that a 3-way episode does not have: never the answer
        for b in range(len(examples)):
            alike = [torch.cdist(self.centres, x[None]).argmin() for x in state[0][b]]
            mine = torch.cdist(self.centres, examples[b]).argmin()
            labels = [int(label) for which, label in zip(alike, state[1][b], strict=True) if which == mine]
            known = len(labels) >= self.needed
            others = set(range(3)) - set(state[1][b].tolist()) if not labels else {(labels[0] + 1) % 3}
            answer = labels[0] if known else min(others, default=0)
            logits[b, 0, answer] = 1.0
        return logits


@pytest.fixture(scope="module")
def protonet():
    return build_method(
        preset("default", method="protonet", channels=(4,), residual=(False,), image_size=8, n_way=4)
    ).eval()


def data(num_each=6, spread=0.0):
    generator = torch.Generator().manual_seed(0)
    centres = 3 * torch.randn(7, 128, generator=generator)
    labels = torch.arange(7).repeat_interleave(num_each)
    return centres, centres[labels] + spread * torch.randn(len(labels), 128, generator=generator), labels


def measure(method, *, episodes=6, n_way=3, instances=4, **options):
    _, features, labels = data(**options.pop("of", {}))
    return instance_accuracies(method, features, labels, episodes=episodes, n_way=n_way, instances=instances, **options)


def test_an_answer_that_is_no_number_is_wrong(protonet, monkeypatch):
    method = Remembers(protonet, data()[0])
    monkeypatch.setattr(method, "answer", lambda examples, state: torch.full((*examples.shape[:2], 4), torch.nan))
    assert {number.mean for number in measure(method).values()} == {0.0}


@pytest.mark.parametrize("needed", [1, 2, 3])
def test_an_instance_counts_how_often_its_class_was_shown_before(protonet, needed):
    accuracies = measure(Remembers(protonet, data()[0], needed))
    assert list(accuracies) == [1, 2, 3, 4]
    assert [accuracies[i].mean for i in range(2, 5)] == [float(i > needed) for i in range(2, 5)]
    assert accuracies[1].mean < 1
    assert all(interval.count == 6 for interval in accuracies.values())


def test_every_example_is_answered_before_it_is_learned_and_none_is_met_twice(protonet):
    method = Remembers(protonet, data()[0])
    measure(method, of={"spread": 0.1})
    assert len(method.seen) == 12
    for t, (examples, (shown, labels)) in enumerate(method.seen):
        assert (shown.shape[1], labels.shape[1]) == (t, t)
        for b in range(6):
            assert torch.cdist(shown[b], examples[b]).min() > 0.1 if t else not len(shown[b])
    assert sorted(method.seen[-1][1][1][0].bincount().tolist()) == [3, 4, 4]


def test_streams_are_in_random_order_under_labels_drawn_anew(protonet):
    method = Remembers(protonet, data()[0])
    measure(method, episodes=40)
    labels = method.seen[-1][1][1]
    assert len({tuple(stream.tolist()) for stream in labels}) == 40
    # The last example is of a class that has come three or fewer times before, at any place: not the sampler's order.
    assert len(set(labels[:, 0].tolist())) == 3
    assert any(len(set(stream[-2:].tolist())) == 1 for stream in labels)


def test_a_seed_names_the_streams_whatever_the_number_side_by_side(protonet):
    accuracies = measure(protonet, of={"spread": 20.0})
    assert accuracies == measure(protonet, of={"spread": 20.0}, tasks_per_batch=1)
    assert accuracies == measure(protonet, of={"spread": 20.0}, tasks_per_batch=4)
    assert accuracies != measure(protonet, of={"spread": 20.0}, seed=1)


def test_progress_is_told(protonet):
    done = []
    measure(protonet, tasks_per_batch=4, on_progress=done.append)
    assert done == [4, 6]


@pytest.mark.parametrize("name", ["paper", "default"])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_can_be_measured(method, name):
    torch.manual_seed(0)
    sizes = {"channels": (4, 8), "residual": (False, True), "image_size": 8, "num_slots": 4, "predictor_hidden": 8}
    built = build_method(preset(name, method=method, n_way=3, projection=128, **sizes)).eval()
    if hasattr(built, "steps"):
        built.steps = 1
    if hasattr(built, "test_steps"):
        built.test_steps = 1
    # Drawings, as features in the method's own way.
    generator, labels = torch.Generator().manual_seed(0), torch.arange(7).repeat_interleave(6)
    drawings = torch.rand(7, 1, 8, 8, generator=generator)[labels]
    with torch.no_grad():
        features = built.embed(drawings + 0.1 * torch.rand(drawings.shape, generator=generator))
    accuracies = instance_accuracies(built, features, labels, episodes=3, n_way=3, instances=4)
    assert list(accuracies) == [1, 2, 3, 4]
    # Nothing is known of a class at its first drawing: right by chance.
    assert accuracies[1].mean < 0.9


def test_prototypes_are_right_from_the_second_drawing_of_classes_far_apart(protonet):
    accuracies = measure(protonet, of={"spread": 0.1})
    assert [accuracies[i].mean for i in (2, 3, 4)] == [1.0, 1.0, 1.0]
    assert_close(accuracies[4].half_width, 0.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_way": 1}, "got n_way=1; this method tells 4 classes apart"),
        ({"n_way": 5}, "got n_way=5; this method tells 4 classes apart"),
        ({"instances": 1}, "got instances=1, episodes=6; at least 2 and 1"),
        ({"episodes": 0}, "got instances=4, episodes=0; at least 2 and 1"),
        ({"instances": 7}, "3-way episodes need 3 classes with at least 6"),
    ],
)
def test_streams_that_cannot_be_are_refused(protonet, options, message):
    with pytest.raises(InputError, match=message):
        measure(protonet, **options)
