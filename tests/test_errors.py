from __future__ import annotations

import json
import subprocess
import sys

import pytest

from fastslow.errors import InputError, refuse_unknown

#: Options that there are not, and labels that are none. Run apart, as users have it: in this process types are checked
#: before anything is called.
UNCHECKED = """
import json
import torch
from fastslow import load_pretrained
from fastslow.methods.models import build_learner, preset
from fastslow.core.network import NeuralMemory
from fastslow.core.predictors import GradientPredictor
from fastslow.methods.episodic import EpisodicLearner

def learner(**options):
    made = build_learner(preset("paper", dim=4, channels=(2, 2, 2)))
    return EpisodicLearner(network=made.network, predictors=made.predictors, **options)

makers = {name: lambda **options: NeuralMemory(input_size=3, dim=2, **options)
          for name in ("compose", "slots", "similarity", "write_policy")}
makers |= dict.fromkeys(("order", "support", "fast_lifetime", "gradients"), learner)
makers["kind"] = lambda **options: GradientPredictor(dim=2, target_size=2, **options)
classifier = load_pretrained("omniglot-5w1s")

def attempt(call, *arguments, **options):
    try:
        return repr(call(*arguments, **options))
    except ValueError as error:
        return str(error)

messages = {
    "options": {name: attempt(make, **{name: "nonsense"}) for name, make in makers.items()},
    "names": [attempt(classifier.learn, torch.zeros(2, 28, 28), labels) for labels in (None, 3, [["a"], ["b"]])],
    "numbers": [attempt(classifier.learner.learn, torch.zeros(2, 2, 128), labels)
                for labels in (torch.tensor([1, 1]), torch.tensor([[1, 1]]), torch.ones(2, 2))],
}
print(json.dumps(messages))
"""


def test_what_types_do_not_stop_is_refused_in_words():
    done = subprocess.run([sys.executable, "-c", UNCHECKED], capture_output=True, text=True, check=True)
    messages = json.loads(done.stdout)
    assert len(messages["options"]) == 9
    for name, message in messages["options"].items():
        assert message.startswith(f"got {name}='nonsense'; choose from [")
    assert all("the labels cannot be used" in message for message in messages["names"])
    assert all("give one int64 label an example, shape (2, 2)" in message for message in messages["numbers"])


def test_the_first_unknown_value_is_named():
    refuse_unknown({"colour": ("red", ("red", "blue"))})
    with pytest.raises(InputError, match=r"got shape='oval'; choose from \['round', 'square'\]"):
        refuse_unknown({"colour": ("red", ("red", "blue")), "shape": ("oval", ("round", "square"))})
