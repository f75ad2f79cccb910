"""Modules and functions of one's own: what they give is checked, and whether their weights are still the same."""

import numpy as np
import pytest
import torch
from torch import nn

from fastslow import FastSlowClassifier
from fastslow.errors import InputError
from fastslow.estimators.weights import WatchedModule, weights_sha256
from stream_sample import clouds


def _step(module):
    optimiser = torch.optim.Adam(module.parameters())
    module(torch.ones(3, 5)).square().sum().backward()
    optimiser.step()


def _replace(module):
    module[0] = nn.Linear(5, 4)


def _load(module):
    module.load_state_dict(nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4)).state_dict())


def _data(module):
    module[0].weight.data = torch.eye(4, 5)


TRAINED_FURTHER = {
    "step": _step, "replaced": _replace, "loaded": _load, "data": _data, "bytes": lambda module: module.double(),
    "batch statistics": lambda module: module.train()(torch.ones(3, 5)),
}  # fmt: skip


def made_module():
    return nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4)).eval()


@pytest.mark.parametrize("change", TRAINED_FURTHER)
def test_features_of_weights_that_have_changed_are_not_compared(change):
    (vectors, labels), module = clouds(), made_module()
    learner = FastSlowClassifier(module).fit(vectors, labels)
    TRAINED_FURTHER[change](module)
    for ask in (learner.predict, learner.explain, lambda x: learner.partial_fit(x, labels)):
        with pytest.raises(InputError, match="got another model than the one whose features were learned"):
            ask(vectors)
    assert learner.fit(vectors, labels).score(vectors, labels) > 0.9


def test_weights_that_were_there_before_are_known_again():
    (vectors, labels), module = clouds(), made_module()
    learner = FastSlowClassifier(module).fit(vectors, labels)
    kept = {name: part.clone() for name, part in module.state_dict().items()}
    expected = learner.predict_proba(vectors)
    module.double().float()  # other tensors of the same numbers
    assert np.array_equal(learner.predict_proba(vectors), expected)
    _step(module)
    module.load_state_dict(kept)
    assert np.array_equal(learner.predict_proba(vectors), expected)


def test_weights_that_torch_does_not_count_are_looked_at_as_a_whole():
    with torch.inference_mode():
        module = nn.Linear(5, 4)
        watched = WatchedModule(module)
        assert watched.unchanged(False)
        module.weight.mul_(2)
    assert not watched.unchanged(False)


class WithMore(nn.Linear):
    more: object = None

    def get_extra_state(self):
        return self.more

    def set_extra_state(self, state):
        self.more = state


def test_a_state_beside_tensors_is_compared_or_refused_in_words():
    module = WithMore(5, 4)
    module.more = {"scale": 2.0, "parts": [torch.ones(2), "a"], "none": None}
    watched = WatchedModule(module)
    module.more["parts"][0].mul_(2)
    assert not watched.unchanged(False)
    module.more = object()
    with pytest.raises(InputError, match="got a model that keeps a object as '_extra_state': give one whose weights"):
        FastSlowClassifier(module).fit(*clouds())


@pytest.mark.filterwarnings("ignore")
def test_weights_without_plain_numbers_are_hashed_or_refused_in_words():
    halves = [torch.quantize_per_tensor(torch.tensor([one]), 0.5, 0, torch.qint8) for one in (1.0, 2.0)]
    assert len({weights_sha256({"a": part}) for part in [*halves, torch.eye(2), torch.eye(2).to_sparse() * 2]}) == 4
    for module in (nn.LazyLinear(4), nn.Linear(5, 4, device="meta")):
        with pytest.raises(InputError, match=r"got a model whose .* has no values to read .*: give one"):
            FastSlowClassifier(module).fit(*clouds())


WRONG_ROWS = {"one": lambda x: x[:1], "more": lambda x: x.repeat(2, 1), "summed": lambda x: x.sum(0, keepdim=True)}


@pytest.mark.parametrize("rows", WRONG_ROWS)
def test_models_that_give_other_than_a_row_an_example_are_refused(rows):
    class Module(nn.Module):
        def forward(self, x):
            return WRONG_ROWS[rows](x)

    vectors, _ = clouds()
    for model in (Module(), lambda x: WRONG_ROWS[rows](torch.as_tensor(x))):
        for given in (vectors, vectors.tolist(), torch.from_numpy(vectors)):
            with pytest.raises(InputError, match=rf"the model gave \d+ rows for {len(vectors)} examples"):
                FastSlowClassifier(model).fit(given, ["a"])


def test_a_function_may_take_what_is_no_row_of_examples():
    vectors, labels = clouds()
    learner = FastSlowClassifier(lambda columns: np.column_stack([columns["a"], columns["b"]]))
    learner.fit({"a": vectors[:, :2], "b": vectors[:, 2:]}, labels)
    assert learner.memory_.examples.num_features == 5


@pytest.mark.parametrize("error", [ValueError("odd"), KeyError("odd"), AssertionError("odd"), IndexError("odd")])
def test_what_goes_wrong_in_a_module_is_put_in_words(error):
    class Module(nn.Module):
        def forward(self, x):
            raise error

    with pytest.raises(InputError, match=rf"makes no features of .*{type(error).__name__}: .*odd.*a row an example"):
        FastSlowClassifier(Module()).fit(*clouds())
