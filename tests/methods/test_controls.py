import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from fastslow.core import functional
from fastslow.core.predictors import GradientPredictor, StatelessPredictor
from fastslow.errors import InputError
from fastslow.methods import controls
from methods.designs import CLASSES, make_default, make_paper, tasks


def test_zero_read_hides_the_memory_in_learning_and_answering():
    support, labels, query = tasks()
    for without, hidden in ((False, False), (True, True)):
        paper = make_paper(compose="query", **({"memory": controls.LiteralMemoryWithoutRead} if without else {}))
        default = make_default(**({"memory": controls.KeyedMemoryWithoutRead} if without else {}))
        for method in (paper, default):
            before = method(support[:, :2], labels[:, :2], query)
            with torch.no_grad():
                method.memory.initial_slots.add_(torch.randn_like(method.memory.initial_slots))
            # In the default what the first examples find are the initial slots; later it is what they wrote.
            assert torch.equal(method(support[:, :2], labels[:, :2], query), before) == hidden


def test_zero_read_reads_zeros_of_the_right_shape():
    method = make_default(memory=controls.KeyedMemoryWithoutRead)
    look = method.memory.look(tasks()[0], method.initial_state(2))
    assert look.read_vector.shape == look.query.shape
    assert not look.read_vector.any()


def test_written_where_read_is_eq_7_as_printed_on_keys_and_values():
    method = make_default(memory=controls.WrittenWhereRead)
    support, labels, _ = tasks(num_support=2)
    first = method.learn(support[:, :1], labels[:, :1])
    (step,), second = method.learn_steps(support[:, 1:], labels[:, 1:], first)
    weights = step.address_weights[:, 0]
    query = method.memory.look(support[:, 1:], first).query
    assert_close(second.values, functional.write(first.values, weights, step.activations["write"][:, 0]))
    assert_close(second.keys, functional.write(first.keys, weights, query[:, 0]))
    together = method.learn(support, labels)
    assert_close(together.values, second.values)
    look = method.memory.look(support, first)
    with pytest.raises(InputError, match="got 2 examples; where they are read they are written one by one"):
        method.memory.store(look, look.query, first)


def test_label_only_is_blind_to_the_activation():
    activation, target = torch.randn(5, 2), torch.eye(3)[[0, 1, 2, 0, 0]]
    for kind in (GradientPredictor, StatelessPredictor):
        predictor = kind(dim=2, target_size=3, hidden_size=4)
        nn.init.normal_(predictor.head.weight)
        for asked, blind in ((predictor, False), (controls.LabelOnly(predictor), True)):
            one, other = asked(activation, target), asked(activation + 1, target)
            one, other = (one[0], other[0]) if kind is GradientPredictor else (one, other)
            assert torch.equal(one, other) == blind
            assert not torch.equal(one[0], one[1])


def test_a_random_predictor_says_something_and_never_learns():
    predictor = controls.random_(StatelessPredictor(dim=2, target_size=3, hidden_size=4))
    assert predictor.head.weight.abs().min() > 0
    assert not any(parameter.requires_grad for parameter in predictor.parameters())


def test_true_gradients_have_the_predicted_length_and_the_direction_of_recalling_what_is_written():
    support, labels, query = tasks()
    plain, control = make_default(), make_default(rule=controls.RecallGradient)
    (predicted,), _ = plain.learn_steps(support, labels)
    (step,), _ = control.learn_steps(support, labels)
    initial = control.initial_state(2)
    look = control.memory.look(support, initial)
    write_vector = control.memory.write_controller(look.write_input).detach().requires_grad_()
    logits = control.answer(support, control.memory.store(look, write_vector, initial))
    recall = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum")
    (true,) = torch.autograd.grad(recall, write_vector)
    assert true.abs().min() > 0
    length = predicted.synthetic_grads["write"].norm(dim=-1, keepdim=True)
    assert_close(step.synthetic_grads["write"], F.normalize(true, dim=-1) * length)
    # As in evaluation, and under the graph of the outer loss.
    with torch.inference_mode():
        inside = control(support, labels, query)
    outside = control(support, labels, query)
    assert_close(inside.clone(), outside.detach())
    outside.sum().backward()
    assert control.step_size.log.grad.abs() > 0


def test_a_control_leaves_everything_else_as_it_is():
    assert controls.keyed_memory_of("none") is controls.keyed_memory_of("label_only")
    assert controls.literal_memory_of("none") is controls.literal_memory_of("random_predictor")
    predictor = StatelessPredictor(dim=2, target_size=CLASSES)
    assert controls.predictor_of("zero_read", predictor) is predictor
