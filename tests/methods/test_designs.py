import copy
import math

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from fastslow.core.fast_weights import gate_deltas
from fastslow.core.feedback import synthetic_update
from fastslow.core.keyed_memory import KeyedMemory
from fastslow.errors import InputError
from fastslow.methods.config import CONTROLLERS
from fastslow.methods.networks import KeyedNetwork, LiteralNetwork
from methods.designs import CLASSES, DESIGNS, DIM, SLOTS, make_default, make_paper, make_plain, tasks

EVERY_DESIGN = pytest.mark.parametrize("make", DESIGNS.values(), ids=DESIGNS)
PAPERS = pytest.mark.parametrize("make", [f for name, f in DESIGNS.items() if name != "default"])


def learn_paper_explicitly(method, support, labels):
    """One task learned as the paper writes it: Eq. 10 puts new weights into a copy of the memory, step by step."""
    memory = copy.deepcopy(method.memory).requires_grad_(False)
    state = memory.initial_state(1)
    predictor_states = {name: getattr(method.predictors, name).initial_state(1) for name in CONTROLLERS}
    for features, label in zip(support, labels, strict=True):
        target = F.one_hot(label, CLASSES).double().unsqueeze(0)
        look = memory.look(features.unsqueeze(0), state)
        write = memory.compose_write(look, state)
        steps = {"input": look.input, "output": look.output, "write": write}
        after = memory.store(look, write, state)
        for name in method.fast_controllers:
            predictor, controller = getattr(method.predictors, name), getattr(memory, f"{name}_controller")
            synthetic, predictor_states[name] = predictor(steps[name].output, target, predictor_states[name])
            inputs = steps[name].inputs[:, : controller.input_size]
            controller.requires_grad_(True)
            grads = synthetic_update(controller, inputs, getattr(state, name), synthetic)
            controller.requires_grad_(False)
            for parameter_name, grad in grads.items():
                parameter = controller.get_parameter(parameter_name)
                parameter -= method.step_sizes[name]().detach() * grad
        state = after
    return memory, state


@PAPERS
def test_learning_by_the_papers_rule_is_eq_10_on_the_weights_themselves(make):
    method = make()
    support, labels, query = tasks(num_support=6)
    state = method.learn(support, labels)
    logits = method.answer(query, state)
    for b in range(2):
        memory, expected = learn_paper_explicitly(method, support[b], labels[b])
        assert_close(state.memory.slots[b : b + 1], expected.slots)
        assert_close(state.memory.write.cell[b : b + 1], expected.write.cell)
        answer = method.decoder(memory.look(query[b : b + 1], expected).output.output)
        assert_close(logits[b : b + 1], answer)


def test_learning_by_the_default_rule_is_eq_10_on_the_weights_themselves():
    # The vector-Jacobian product by autograd, one weight matrix at a time; the bias does not move.
    method = make_default()
    support, labels, _ = tasks()
    step, state = method.learn_step(support, labels, method.initial_state(2))
    controller = method.memory.write_controller
    look = method.memory.look(support, method.initial_state(2))
    for b in range(2):
        for n in range(support.shape[1]):
            u = look.write_input[b, n].detach()
            write_vector = controller(u)
            synthetic = method.predictor(write_vector, F.one_hot(labels[b, n], CLASSES).double())
            assert_close(step.synthetic_grads["write"][b, n], synthetic)
            (grad,) = torch.autograd.grad(write_vector, controller.weight, synthetic.detach())
            weights = {"weight": controller.weight - method.step_size() * grad, "bias": controller.bias}
            expected = torch.func.functional_call(controller, weights, (u,))
            assert_close(step.activations["write"][b, n], expected)
    written = torch.sort(state.values, 1).values
    assert_close(written, torch.sort(step.activations["write"], 1).values)
    assert_close(torch.sort(state.keys, 1).values, torch.sort(look.query, 1).values)


@EVERY_DESIGN
def test_untrained_predictors_leave_the_plain_memory_network(make):
    method = make(ready=False)
    support, labels, query = tasks()
    assert torch.equal(method(support, labels, query), method.without_fast_path()(support, labels, query))


def test_the_plain_network_is_the_memory_run_over_the_support_set():
    plain = make_plain(LiteralNetwork)
    support, labels, query = tasks()
    state = plain.memory.initial_state(2)
    for t in range(support.shape[1]):
        _, state = plain.memory(support[:, t], state)
    expected, _ = plain.memory(query[:, 0], state)
    assert_close(plain(support, labels, query)[:, 0], plain.decoder(expected))


@PAPERS
def test_a_support_set_equals_its_pieces_chained(make):
    method = make()
    support, labels, query = tasks(num_support=8)
    steps, together = method.learn_steps(support, labels)
    # Six steps are materialised, the later ones appended to the matrix: all forms of fast weights take part.
    first, between = method.learn_steps(support[:, :6], labels[:, :6])
    second, chained = method.learn_steps(support[:, 6:], labels[:, 6:], between)
    assert between.fast.write.matrix is not None
    assert_close(method.answer(query, chained), method.answer(query, together))
    assert_close(chained.memory.slots, together.memory.slots)
    for step, other in zip(steps, first + second, strict=True):
        for name, synthetic_grad in step.synthetic_grads.items():
            assert_close(other.synthetic_grads[name], synthetic_grad)
    # The state is all there is, and nothing of it was changed by going on.
    again, _ = method.learn_steps(support[:, 6:], labels[:, 6:], between)
    assert torch.equal(again[-1].activations["write"], second[-1].activations["write"])


@pytest.mark.no_cover  # lines that others run
@EVERY_DESIGN
def test_gradients_through_learning(make):
    method = make()
    support, labels, query = tasks(num_support=3, num_query=2)
    named = {name: p for name, p in method.named_parameters() if not name.startswith("encoder.")}

    def loss(support, query, *parameters):
        given = dict(zip(named, parameters, strict=True))
        return torch.func.functional_call(method, given, (support, labels, query))

    inputs = (support.requires_grad_(), query.requires_grad_(), *named.values())
    assert torch.autograd.gradcheck(loss, inputs, fast_mode=True)


@EVERY_DESIGN
def test_labels_reach_answers_through_the_fast_path_only(make):
    support, labels, query = tasks()
    method = make()
    for learner, same in ((method, False), (method.without_fast_path(), True)):
        other = learner(support, (labels + 1) % CLASSES, query)
        assert torch.equal(learner(support, labels, query), other) == same


@PAPERS
def test_an_example_is_looked_at_before_its_label(make):
    method = make()
    support, labels, _ = tasks()
    other_labels = labels.clone()
    other_labels[:, 2] = (labels[:, 2] + 1) % CLASSES
    (steps, _), (others, _) = method.learn_steps(support, labels), method.learn_steps(support, other_labels)
    for t in range(3):
        for name, activation in steps[t].activations.items():
            assert torch.equal(activation, others[t].activations[name])
        assert torch.equal(steps[t].address_weights, others[t].address_weights)
    assert any(not torch.allclose(steps[3].activations[n], others[3].activations[n]) for n in CONTROLLERS)


def test_the_default_rule_puts_the_label_into_the_memory_at_once_and_the_papers_does_not():
    support, labels, _ = tasks(num_support=1)
    for make, stored, at_once in ((make_default, "values", True), (make_paper, "memory", False)):
        one, other = (getattr(make().learn(support, (labels + shift) % CLASSES), stored) for shift in (0, 1))
        one, other = (one, other) if at_once else (one.slots, other.slots)
        assert torch.equal(one, other) != at_once


def test_a_step_of_the_papers_rule_by_hand():
    # Nothing learned yet: the deltas are -alpha delta, the inputs [x ; h], and the answer moves by delta (u_s . u + 2).
    method = make_paper(fast_controllers=("input",), step_size=0.5)
    support, labels, query = tasks(num_support=1)
    (step,), state = method.learn_steps(support, labels)
    memory, initial = method.memory, method.initial_state(2)
    plain = memory.look(support[:, 0], initial.memory)
    target = F.one_hot(labels[:, 0], CLASSES).double()
    synthetic, _ = method.predictors.input(plain.query, target, initial.predictors["input"])
    assert_close(step.synthetic_grads["input"], synthetic)
    delta = -0.5 * gate_deltas(plain.input.gates, synthetic)
    assert_close(state.fast.input.deltas[:, 0], delta)
    assert_close(state.fast.input.inputs[:, 0], torch.cat([support[:, 0], torch.zeros(2, DIM)], 1))
    u = torch.cat([query[:, 0], state.memory.input.hidden], 1)
    similarity = (state.fast.input.inputs[:, 0] * u).sum(1, keepdim=True) + 2
    slow = memory.input_controller.preactivation(query[:, 0], state.memory.input)
    expected = memory.input_controller.gates(slow + delta * similarity, state.memory.input).hidden
    assert_close(memory.look(query[:, 0], state.memory, state.fast).query, expected)


def test_what_the_default_learned_lies_in_the_memory_alone():
    method = make_default()
    support, labels, query = tasks()
    state = method.learn(support, labels)
    other = method.learn(support, (labels + 1) % CLASSES)
    assert torch.equal(state.keys, other.keys)
    assert not torch.allclose(method.answer(query, state), method.answer(query, other))
    # What a label writes does not depend on the labels beside it.
    changed = labels.clone()
    changed[:, 0] = (labels[:, 0] + 1) % CLASSES
    differ = (method.learn(support, changed).values != state.values).any(2)
    assert differ.sum(1).tolist() == [1, 1]


def test_in_a_set_no_example_sees_another_and_their_order_does_not_matter():
    method = make_default()
    support, labels, query = tasks()
    (step,), state = method.learn_steps(support, labels)
    for n in range(4):
        (alone,), _ = method.learn_steps(support[:, n : n + 1], labels[:, n : n + 1])
        for name in CONTROLLERS:
            assert_close(step.activations[name][:, n : n + 1], alone.activations[name])
        assert_close(step.synthetic_grads["write"][:, n : n + 1], alone.synthetic_grads["write"])
        assert_close(step.address_weights[:, n : n + 1], alone.address_weights)
    other = method.learn(support[:, [2, 0, 3, 1]], labels[:, [2, 0, 3, 1]])
    assert_close(method.answer(query, other), method.answer(query, state))


def test_a_set_larger_than_the_memory_is_learned_in_parts_that_fit():
    method = make_default()
    support, labels, query = tasks(num_support=7)  # four slots
    steps, together = method.learn_steps(support, labels)
    first, between = method.learn_steps(support[:, :4], labels[:, :4])
    second, chained = method.learn_steps(support[:, 4:], labels[:, 4:], between)
    assert [step.address_weights.shape[1] for step in steps] == [4, 3]
    assert_close(second[0].activations["write"], steps[1].activations["write"])
    assert_close(method.answer(query, chained), method.answer(query, together))
    assert len(first) == len(second) == 1


@pytest.mark.parametrize("name", CONTROLLERS)
def test_only_the_named_controllers_learn(name):
    method = make_paper(fast_controllers=(name,))
    steps, state = method.learn_steps(*tasks()[:2])
    assert list(steps[0].synthetic_grads) == [name]
    assert list(method.step_sizes) == [name]
    assert [weights is not None for weights in state.fast] == [controller == name for controller in CONTROLLERS]


def test_step_sizes_scale_what_is_learned():
    support, labels, _ = tasks(num_support=1)
    deltas = [[w.deltas for w in make_paper(step_size=s).learn(support, labels).fast] for s in (1.0, 3.0)]
    for plain, scaled in zip(*deltas, strict=True):
        assert_close(scaled, 3 * plain)


@EVERY_DESIGN
def test_the_query_loss_reaches_slow_weights_step_sizes_and_predictors(make):
    method = make()
    support, labels, query = tasks()
    F.cross_entropy(method(support, labels, query).flatten(0, 1), torch.zeros(6, dtype=torch.long)).backward()
    unused = ("encoder.", *(f"predictors.{c}." for c in CONTROLLERS if c not in method.fast_controllers))
    learning = [(name, p) for name, p in method.named_parameters() if not name.startswith(unused)]
    assert [name for name, p in learning if p.grad is None or not p.grad.any()] == []


def test_equal_slots_answer_the_same_whatever_the_query():
    for method in (make_paper(), make_plain(LiteralNetwork)):
        with torch.no_grad():
            slots = method.memory.initial_slots
            slots.copy_(slots[:1].expand_as(slots))
        support, labels, query = tasks()
        logits = method(support, labels, query)
        assert_close(logits, logits[:, :1].expand_as(logits))


@EVERY_DESIGN
def test_an_empty_support_set_teaches_nothing(make):
    method = make()
    support, labels, query = tasks(num_support=0)
    plain = method.without_fast_path()
    assert torch.equal(method(support, labels, query), plain.answer(query, plain.initial_state(2)))


def test_a_shared_predictor_is_in_the_optimiser_once_and_survives_saving():
    method, separate = make_paper(share=True), make_paper()
    num_predictor = sum(p.numel() for p in method.predictors.input.parameters())
    sizes = [sum(p.numel() for p in made.parameters()) for made in (separate, method)]
    assert sizes[0] - sizes[1] == 2 * num_predictor
    optimiser = torch.optim.SGD(method.parameters(), lr=0.1)
    assert len({id(p) for group in optimiser.param_groups for p in group["params"]}) == len(list(method.parameters()))
    batch, restored = tasks(), make_paper(share=True)
    with torch.no_grad():
        for parameter in restored.parameters():
            parameter.zero_()
    restored.load_state_dict(method.state_dict())
    assert restored.predictors.input is restored.predictors.write
    assert torch.equal(restored(*batch), method(*batch))


def test_a_shared_predictor_keeps_a_state_for_each_controller():
    state = make_paper(share=True).learn(*tasks()[:2])
    hidden = [state.predictors[name].hidden for name in CONTROLLERS]
    assert not torch.allclose(hidden[0], hidden[1])
    assert not torch.allclose(hidden[1], hidden[2])


def test_the_initial_state_knows_nothing():
    state = make_paper().initial_state(2)
    assert [weights.inputs.shape[1] for weights in state.fast] == [0, 0, 0]
    assert set(state.predictors) == set(CONTROLLERS)
    for part in (*state.memory[1:], *state.predictors.values()):
        assert not torch.stack([part.hidden, part.cell]).any()


def test_refusals():
    for size in (0.0, math.inf, math.nan):
        with pytest.raises(InputError, match="step sizes are learned in logarithms: positive and finite"):
            make_paper(step_size=size)
        with pytest.raises(InputError, match="step sizes are learned in logarithms: positive and finite"):
            make_default(step_size=size)
    with pytest.raises(InputError, match=r"got fast_controllers='read'; choose from \['input', 'output', 'write'\]"):
        make_paper(fast_controllers=("input", "read"))


def test_naming_a_controller_twice_is_naming_it_once():
    support, labels, query = tasks(num_support=2)
    once, twice = (make_paper(fast_controllers=names) for names in (("input", "write"), ("write", "input", "write")))
    assert twice.fast_controllers == ("input", "write")
    assert torch.equal(once(support, labels, query), twice(support, labels, query))


def test_the_capacity_is_that_of_the_slots_where_each_example_takes_one():
    assert make_paper().capacity is None
    assert make_default().capacity == make_plain(KeyedNetwork).capacity == SLOTS


def test_in_the_memory_stage_the_encoder_and_the_defaults_input_controller_rest():
    for method in (make_default(), make_paper()):
        named = {id(p): name for name, p in method.named_parameters()}
        moving = {named[id(p)] for p in method.parameters_of("memory")}
        resting = {name for name in named.values() if name.startswith("encoder.")}
        if isinstance(method.memory, KeyedMemory):
            resting |= {name for name in named.values() if name.startswith("memory.input_controller.")}
        assert moving == set(named.values()) - resting
        assert len(method.parameters_of("end_to_end")) == len(named)


def test_tasks_begin_with_keys_compared_as_the_encoder_learned_to_compare():
    method = make_default()
    method.begin("encoder")
    assert method.memory.log_sharpness != method.encoder.log_sharpness
    method.begin("memory")
    assert method.memory.log_sharpness == method.encoder.log_sharpness
