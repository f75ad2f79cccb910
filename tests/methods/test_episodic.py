import copy
import itertools
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from fastslow.core.controllers import ControllerState
from fastslow.core.fast_weights import gate_deltas
from fastslow.core.feedback import synthetic_update
from fastslow.core.network import MemoryNetwork, NeuralMemory, controller_step
from fastslow.core.predictors import GradientPredictor, Predictors
from fastslow.errors import InputError
from fastslow.methods.episodic import CONTROLLERS, EpisodicLearner

DIM, CLASSES = 3, 4
OURS = {
    "compose": "query",
    "slots": "keyed",
    "similarity": "euclidean",
    "write_policy": "least_used",
    "recurrent": False,
    "residual_query": True,
}
#: The write controller alone learns fast, before it writes.
ALONE = {"fast_controllers": ("write",), "order": "update_then_write"}
#: Memory options, and options of the learner, that behave differently.
BATTERY = {
    "paper": ({}, {}),
    "default": (OURS, {**ALONE, "fast_lifetime": "step", "fast_bias": False, "support": "set"}),
    "default, one after another": (OURS, {**ALONE, "fast_lifetime": "step", "fast_bias": False}),
    "all controllers, as a set": (OURS, {"order": "update_then_write", "fast_bias": False, "support": "set"}),
    "paper, update then write": ({}, {"order": "update_then_write"}),
    "ours, biases": (OURS, {"order": "update_then_write", "fast_bias": True}),
    "set, write then update": ({**OURS, "residual_query": False}, {"support": "set"}),
    "query": ({"compose": "query"}, {"fast_bias": False}),
    "write controller alone": ({"compose": "query"}, ALONE),
}
STREAMS = {name: parts for name, parts in BATTERY.items() if "support" not in parts[1]}
EVERY_STREAM = pytest.mark.parametrize(("memory", "options"), STREAMS.values(), ids=STREAMS)
EVERY_LEARNER = pytest.mark.parametrize(("memory", "options"), BATTERY.values(), ids=BATTERY)


def make(memory=(), *, ready=True, share=False, **options):
    """A learner in float64 for features of size 3; `ready`: its predictors do not say zero any more."""
    torch.manual_seed(0)
    memory = NeuralMemory(input_size=DIM, dim=DIM, num_slots=4, **dict(memory))
    network = MemoryNetwork(encoder=nn.Identity(), memory=memory, num_outputs=CLASSES)

    def predictor():
        predictor = GradientPredictor(
            dim=DIM, target_size=CLASSES, hidden_size=5, recurrent=memory.input_controller.recurrent
        )
        if ready:
            nn.init.normal_(predictor.head.weight)
        return predictor

    predictors = [predictor()] * 3 if share else [predictor() for _ in range(3)]
    learner = EpisodicLearner(network=network, predictors=Predictors(*predictors), **options).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.5 * torch.randn(parameter.shape))
    return learner


def tasks(num_support=5, num_query=3, batch=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    support = torch.randn(batch, num_support, DIM, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, CLASSES, (batch, num_support), generator=generator)
    return support, labels, torch.randn(batch, num_query, DIM, generator=generator, dtype=torch.float64)


def learn_explicitly(learner, support, labels):
    """One task learned as the paper writes it: Eq. 10 puts new weights into a copy of the memory, step by step.

    Where the learner takes sets, all examples that fit the slots look at the memory before any of them is learned.
    """
    memory = copy.deepcopy(learner.network.memory).requires_grad_(False)
    state = memory.initial_state(1)
    predictor_states = {name: getattr(learner.predictors, name).initial_state(1) for name in CONTROLLERS}
    side_by_side = memory.num_slots if learner.support == "set" else 1
    for part in torch.arange(len(support)).split(side_by_side):
        learned, stored = copy.deepcopy(memory), []
        for n in part:
            target = F.one_hot(labels[n], CLASSES).double().unsqueeze(0)
            look = memory.look(support[n].unsqueeze(0), state)
            write = memory.compose_write(look, state)
            activations = {"input": look.query, "output": look.output.output, "write": write.output}
            steps = {"input": look.input, "output": look.output, "write": write}
            own = copy.deepcopy(memory)  # as this example alone changes it
            for name in learner.fast_controllers:
                predictor, controller = getattr(learner.predictors, name), getattr(memory, f"{name}_controller")
                synthetic, predictor_states[name] = predictor(activations[name], target, predictor_states[name])
                inputs = steps[name].key[:, : controller.input_size]
                controller.requires_grad_(True)
                grads = synthetic_update(controller, inputs, getattr(state, name), synthetic)
                controller.requires_grad_(False)
                for parameter_name, grad in grads.items():
                    if learner.fast_bias or parameter_name.startswith("weight"):
                        for changed in (own, learned):
                            parameter = getattr(changed, f"{name}_controller").get_parameter(parameter_name)
                            parameter -= learner.log_alpha[name].exp().detach() * grad
            if learner.order == "update_then_write":
                write = own.compose_write(look, state)
            stored.append((look, write))
        for look, write in stored:
            state = memory.store(look, write, state)
        if learner.fast_lifetime == "task":
            memory = learned
    return memory, state


@EVERY_LEARNER
def test_learning_is_eq_10_on_the_weights_themselves(memory, options):
    learner = make(memory, step_sizes={"input": 0.7, "output": 1.3, "write": 2.0}, **options)
    support, labels, query = tasks(num_support=6)
    _, state = learner.learn(support, labels)
    logits = learner.answer(query, state)
    for b in range(2):
        moved, expected = learn_explicitly(learner, support[b], labels[b])
        assert_close(state.memory.memory[b : b + 1], expected.memory)
        if learner.network.memory.write_controller.recurrent:
            assert_close(state.memory.write.cell[b : b + 1], expected.write.cell)
        answer = learner.network.decoder(moved.look(query[b : b + 1], expected).output.output)
        assert_close(logits[b : b + 1], answer)


@EVERY_LEARNER
def test_untrained_predictors_leave_the_plain_memory_network(memory, options):
    learner = make(memory, ready=False, **options)
    plain = make(memory, ready=False, **{**options, "fast_controllers": ()})
    plain.load_state_dict(learner.state_dict(), strict=False)
    support, labels, query = tasks()
    assert torch.equal(learner(support, labels, query), plain(support, labels, query))
    if plain.support == "set":
        return
    # The plain network is the memory run over the support set.
    state = plain.network.initial_state(2)
    for t in range(support.shape[1]):
        _, state = plain.network(support[:, t], state)
    expected, _ = plain.network(query[:, 0], state)
    assert_close(plain(support, labels, query)[:, 0], expected)


@EVERY_STREAM
def test_a_support_set_equals_its_pieces_chained(memory, options):
    learner = make(memory, **options)
    support, labels, query = tasks(num_support=8)
    steps, together = learner.learn(support, labels)
    # Six steps are materialised, the later ones appended to the matrix: all forms of fast weights take part.
    first, between = learner.learn(support[:, :6], labels[:, :6])
    second, chained = learner.learn(support[:, 6:], labels[:, 6:], between)
    lasting = between.fast.write is not None and between.fast.write.matrix is not None
    assert lasting == (learner.fast_lifetime == "task")
    assert_close(learner.answer(query, chained), learner.answer(query, together))
    assert_close(chained.memory.memory, together.memory.memory)
    for step, other in zip(steps, first + second, strict=True):
        for name, synthetic_grad in step.synthetic_grads.items():
            assert_close(other.synthetic_grads[name], synthetic_grad)
    # The state is all there is, and nothing of it was changed by going on.
    again, _ = learner.learn(support[:, 6:], labels[:, 6:], between)
    assert torch.equal(again[-1].activations["write"], second[-1].activations["write"])


@EVERY_LEARNER
def test_queries_are_answered_as_if_alone(memory, options):
    learner = make(memory, **options)
    support, labels, query = tasks()
    _, state = learner.learn(support, labels)
    together = learner.answer(query, state)
    one_by_one = [learner.answer(query[:, n : n + 1], state) for n in range(3)]
    assert_close(torch.cat(one_by_one, 1), together)
    assert torch.equal(learner.answer(query, state), together)  # answering changes nothing
    assert not torch.allclose(together[:, 0], together[:, 1])


@EVERY_LEARNER
def test_tasks_do_not_touch_and_a_batch_may_be_one(memory, options):
    learner = make(memory, **options)
    support, labels, query = tasks()
    logits = learner(support, labels, query)
    for b in range(2):
        alone = learner(support[b : b + 1], labels[b : b + 1], query[b : b + 1])
        assert_close(logits[b : b + 1], alone)


@EVERY_LEARNER
def test_gradients_through_learning(memory, options):
    learner = make(memory, **options)
    support, labels, query = tasks(num_support=3, num_query=2)
    named = {name: p for name, p in learner.named_parameters() if p.requires_grad}

    def loss(support, query, *parameters):
        given = dict(zip(named, parameters, strict=True))
        return torch.func.functional_call(learner, given, (support, labels, query))

    inputs = (support.requires_grad_(), query.requires_grad_(), *named.values())
    assert torch.autograd.gradcheck(loss, inputs, fast_mode=True)


@pytest.mark.parametrize("options", [{"order": "write_then_update"}, {"order": "update_then_write"}])
def test_labels_reach_answers_through_learning_only(options):
    support, labels, query = tasks()
    for fast_controllers in (CONTROLLERS, ()):
        learner = make(fast_controllers=fast_controllers, **options)
        same = torch.equal(learner(support, labels, query), learner(support, (labels + 1) % CLASSES, query))
        assert same == (fast_controllers == ())


@EVERY_STREAM
def test_an_example_is_looked_at_before_its_label(memory, options):
    learner = make(memory, **options)
    support, labels, _ = tasks()
    other_labels = labels.clone()
    other_labels[:, 2] = (labels[:, 2] + 1) % CLASSES
    (steps, _), (others, _) = learner.learn(support, labels), learner.learn(support, other_labels)
    for t in range(3):
        for name, activation in steps[t].activations.items():
            # Under update_then_write the vector that is written is the one place that knows the label at once.
            if t < 2 or name != "write" or learner.order == "write_then_update":
                assert torch.equal(activation, others[t].activations[name])
        assert torch.equal(steps[t].address_weights, others[t].address_weights)
    learned = [not torch.allclose(steps[3].activations[n], others[3].activations[n]) for n in CONTROLLERS]
    assert any(learned)


@pytest.mark.parametrize(("order", "at_once"), [("update_then_write", True), ("write_then_update", False)])
def test_update_then_write_puts_the_label_into_the_memory_at_once(order, at_once):
    learner = make(order=order)
    support, labels, _ = tasks()
    memories = []
    for shift in (0, 1):
        _, state = learner.learn(support[:, :1], (labels[:, :1] + shift) % CLASSES)
        memories.append(state.memory.memory)
    assert torch.equal(*memories) != at_once


def test_the_write_vector_is_recomputed_under_the_weights_just_learned():
    for fast_bias, recurrent in itertools.product([True, False], repeat=2):
        learner = make({"recurrent": recurrent}, order="update_then_write", fast_bias=fast_bias)
        support, labels, _ = tasks()
        _, before = learner.learn(support[:, :2], labels[:, :2])
        _, after = learner.learn_step(support[:, 2], labels[:, 2], before)
        memory = learner.network.memory
        m = memory.look(support[:, 2], before.memory, before.fast).output.output
        step = controller_step(memory.write_controller, m, before.memory.write, after.fast.write)
        assert_close(after.memory.write.hidden, step.output)
        assert_close(after.memory.write.cell, step.gates.cell)


def test_a_step_by_hand():
    # Nothing learned yet: the values are -alpha delta, the keys [x ; h], and the answer moves by value (key . u + 2).
    learner = make(fast_controllers=("input",), step_sizes={"input": 0.5})
    support, labels, query = tasks(num_support=1)
    (step,), state = learner.learn(support, labels)
    memory, initial = learner.network.memory, learner.initial_state(2)
    plain = memory.look(support[:, 0], initial.memory)
    target = F.one_hot(labels[:, 0], CLASSES).double()
    synthetic, _ = learner.predictors.input(plain.query, target, initial.predictors["input"])
    assert_close(step.synthetic_grads["input"], synthetic)
    value = -0.5 * gate_deltas(plain.input.gates, synthetic)
    assert_close(state.fast.input.values[:, 0], value)
    assert_close(state.fast.input.keys[:, 0], torch.cat([support[:, 0], torch.zeros(2, DIM)], 1))
    answered = memory.look(query[:, 0], state.memory, state.fast).input.preactivation
    slow = memory.input_controller.preactivation(query[:, 0], state.memory.input)
    u = torch.cat([query[:, 0], state.memory.input.hidden], 1)
    similarity = (state.fast.input.keys[:, 0] * u).sum(1, keepdim=True) + 2
    assert_close(answered, slow + value * similarity)


def test_fast_weights_of_a_step_are_gone_once_the_memory_is_written():
    learner = make({"compose": "query"}, **ALONE, fast_lifetime="step")
    support, labels, query = tasks()
    _, state = learner.learn(support, labels)
    assert state.fast.write is None
    # What was learned lies in the memory alone: with another one in its place the labels are forgotten.
    forgotten = state._replace(memory=learner.initial_state(2).memory)
    assert torch.equal(learner.answer(query, forgotten), learner.answer(query, learner.initial_state(2)))
    _, other = learner.learn(support, (labels + 1) % CLASSES)
    assert not torch.allclose(learner.answer(query, state), learner.answer(query, other))
    # Without recurrence and with slots to spare, what a label writes does not depend on the labels before it.
    learner = make(
        {"write_policy": "least_used", "recurrent": False, "compose": "query"}, **ALONE, fast_lifetime="step"
    )
    changed = labels.clone()
    changed[:, 0] = (labels[:, 0] + 1) % CLASSES
    support = support[:, :1].expand(-1, 2, -1)
    zero = learner.initial_state(2)
    with torch.no_grad():
        learner.network.memory.output_controller.weight_ih.zero_()  # m_t, then, does not depend on the memory
    written = [learner.learn(support, given[:, :2], zero)[1].memory.memory for given in (labels, changed)]
    assert_close(written[0][:, 1], written[1][:, 1])
    assert not torch.allclose(written[0][:, 0], written[1][:, 0])


@pytest.mark.parametrize("support", ["set", "stream"])
def test_true_gradients_are_those_of_recalling_what_is_written(support):
    options = {**ALONE, "fast_lifetime": "step", "fast_bias": False, "support": support}
    plain, control = make(OURS, **options), make(OURS, **options, gradients="true")
    support_set, labels, query = tasks(num_support=1)
    (step,), _ = control.learn(support_set, labels)
    (predicted,), _ = plain.learn(support_set, labels)
    shape = predicted.synthetic_grads["write"].shape
    # By autograd, with the write vector before the update put in the slot that is free.
    memory, state = control.network.memory, control.network.initial_state(2)
    look = memory.look(support_set[:, 0], state)
    written = memory.compose_write(look, state)
    write_vector = written.output.detach().requires_grad_()
    after = memory.store(look, written._replace(output=write_vector), state)
    logits = control.network.decoder(memory.look(support_set[:, 0], after).output.output)
    (true,) = torch.autograd.grad(F.cross_entropy(logits, labels[:, 0], reduction="sum"), write_vector)
    assert true.abs().min() > 0
    length = predicted.synthetic_grads["write"].norm(dim=-1, keepdim=True)
    expected = F.normalize(true, dim=-1).view(shape) * length
    assert_close(step.synthetic_grads["write"], expected)
    # As in evaluation, and under the graph of the outer loss.
    with torch.inference_mode():
        inside = control(support_set, labels, query)
    outside = control(support_set, labels, query)
    assert_close(inside.clone(), outside.detach())
    outside.sum().backward()
    assert control.log_alpha["write"].grad.abs() > 0
    with pytest.raises(InputError, match="only a write can be recalled"):
        make(gradients="true")


@pytest.mark.parametrize("name", CONTROLLERS)
def test_only_the_named_controllers_learn(name):
    learner = make(fast_controllers=(name,))
    steps, state = learner.learn(*tasks()[:2])
    assert list(steps[0].synthetic_grads) == [name]
    assert list(learner.log_alpha) == [name]
    assert [weights is not None for weights in state.fast] == [controller == name for controller in CONTROLLERS]


def test_step_sizes_scale_what_is_learned_and_are_one_by_default():
    support, labels, _ = tasks(num_support=1)
    values = []
    for options in ({}, {"step_sizes": {"input": 1.0, "output": 3.0, "write": 1.0}}):
        _, state = make(**options).learn(support, labels)
        values.append([weights.values for weights in state.fast])
    for scale, plain, scaled in zip((1, 3, 1), *values, strict=True):
        assert_close(scaled, scale * plain)


def test_the_query_loss_reaches_slow_weights_step_sizes_and_predictors():
    learner = make(OURS, order="update_then_write", fast_bias=False)
    support, labels, query = tasks()
    F.cross_entropy(learner(support, labels, query).flatten(0, 1), torch.zeros(6, dtype=torch.long)).backward()
    idle = [name for name, p in learner.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert idle == []


def test_learning_needs_no_autograd():
    learner = make()
    support, labels, query = tasks()
    expected = learner(support, labels, query)
    with torch.inference_mode():
        logits = learner(support, labels, query)
    assert_close(logits.clone(), expected)
    assert not logits.requires_grad


def make_set(**options):
    return make(OURS, **{"order": "update_then_write", "fast_bias": False, "support": "set", **options})


def test_in_a_set_no_example_sees_another_and_their_order_does_not_matter():
    learner = make_set()
    support, labels, query = tasks(num_support=4)
    (step,), state = learner.learn(support, labels)
    for n in range(4):
        (alone,), _ = learner.learn(support[:, n : n + 1], labels[:, n : n + 1])
        for name in CONTROLLERS:
            assert_close(step.activations[name][:, n : n + 1], alone.activations[name])
            assert_close(step.synthetic_grads[name][:, n : n + 1], alone.synthetic_grads[name])
        assert_close(step.address_weights[:, n : n + 1], alone.address_weights)
    _, other = learner.learn(support[:, [2, 0, 3, 1]], labels[:, [2, 0, 3, 1]])
    assert_close(learner.answer(query, other), learner.answer(query, state))


def test_a_set_of_one_is_a_stream_of_one():
    support, labels, query = tasks(num_support=1)
    assert_close(make_set()(support, labels, query), make_set(support="stream")(support, labels, query))


def test_a_set_larger_than_the_memory_is_learned_in_parts_that_fit():
    learner = make_set()
    support, labels, query = tasks(num_support=7)  # four slots
    steps, together = learner.learn(support, labels)
    first, between = learner.learn(support[:, :4], labels[:, :4])
    second, chained = learner.learn(support[:, 4:], labels[:, 4:], between)
    assert [step.address_weights.shape[1] for step in steps] == [4, 3]
    assert_close(second[0].activations["write"], steps[1].activations["write"])
    assert_close(learner.answer(query, chained), learner.answer(query, together))
    assert len(first) == len(second) == 1


def test_equal_slots_answer_the_same_whatever_the_query():
    for fast_controllers in ((), CONTROLLERS):
        learner = make(fast_controllers=fast_controllers)
        with torch.no_grad():
            slots = learner.network.memory.initial_slots
            slots.copy_(slots[:1].expand_as(slots))
        support, labels, query = tasks()
        _, state = learner.learn(support, labels)
        assert_close(state.memory.memory, state.memory.memory[:, :1].expand(-1, 4, -1))
        logits = learner.answer(query, state)
        assert_close(logits, logits[:, :1].expand_as(logits))


def test_zero_read_hides_the_memory_in_learning_and_answering():
    support, labels, query = tasks()
    for zero_read in (True, False):
        learner = make({"compose": "query"}, zero_read=zero_read)
        before = learner(support, labels, query)
        with torch.no_grad():
            learner.network.memory.initial_slots.add_(torch.randn(4, DIM))
        assert torch.equal(learner(support, labels, query), before) == zero_read


@EVERY_LEARNER
def test_an_empty_support_set_teaches_nothing(memory, options):
    learner = make(memory, **options)
    support, labels, query = tasks(num_support=0)
    expected = learner.network.memory.look(query, learner.network.initial_state(2)).output.output
    assert torch.equal(learner(support, labels, query), learner.network.decoder(expected))


def test_a_shared_predictor_is_in_the_optimiser_once_and_survives_saving():
    learner, separate = make(share=True), make()
    num_predictor = sum(p.numel() for p in learner.predictors.input.parameters())
    assert sum(p.numel() for p in separate.parameters()) - sum(p.numel() for p in learner.parameters()) == (
        2 * num_predictor
    )
    optimiser = torch.optim.SGD(learner.parameters(), lr=0.1)
    assert len({id(p) for group in optimiser.param_groups for p in group["params"]}) == len(list(learner.parameters()))
    batch = tasks()
    restored = make(share=True)
    with torch.no_grad():
        for parameter in restored.parameters():
            parameter.zero_()
    restored.load_state_dict(learner.state_dict())
    assert restored.predictors.input is restored.predictors.write
    assert torch.equal(restored(*batch), learner(*batch))


def test_a_shared_predictor_keeps_a_state_for_each_controller():
    learner = make(share=True)
    _, state = learner.learn(*tasks()[:2])
    hidden = [state.predictors[name].hidden for name in CONTROLLERS]
    assert not torch.allclose(hidden[0], hidden[1])
    assert not torch.allclose(hidden[1], hidden[2])


def test_learning_goes_on_from_the_state_that_was_given():
    # The state given is used, not the initial one, and is not modified.
    learner = make()
    support, labels, query = tasks()
    _, taught = learner.learn(support, labels)
    before = taught.memory.memory.clone()
    _, more = learner.learn(support.flip(1), labels.flip(1), taught)
    assert torch.equal(taught.memory.memory, before)
    fresh = learner(support.flip(1), labels.flip(1), query)
    assert not torch.allclose(learner.answer(query, more), fresh)


def test_the_initial_state_knows_nothing():
    learner = make()
    state = learner.initial_state(2)
    assert torch.equal(state.memory.memory[0], learner.network.memory.initial_slots)
    assert [weights.keys.shape[1] for weights in state.fast] == [0, 0, 0]
    assert set(state.predictors) == set(CONTROLLERS)
    for part in (*state.memory[2:], *state.predictors.values()):
        assert isinstance(part, ControllerState)
        assert not torch.stack([part.hidden, part.cell]).any()


def test_refusals():
    for options in ({"fast_controllers": ("input", "read")}, {"step_sizes": {"read": 1.0}}):
        with pytest.raises(InputError, match=r"have \['read'\]; choose from \['input', 'output', 'write'\]"):
            make(**options)
    for size in (0.0, math.inf, math.nan):
        with pytest.raises(InputError, match="must be positive and finite"):
            make(step_sizes={"input": size})
    with pytest.raises(InputError, match='support="set" needs a memory with write_policy="least_used" and recurrent='):
        make(support="set")
    for options in ({"order": "update_then_write"}, {"fast_controllers": ("write",)}):
        with pytest.raises(InputError, match=r'"step" came with .*: use \("write",\) and "update_then_write"'):
            make(**options, fast_lifetime="step")
    learner = make()
    support, _, _ = tasks(num_support=2)
    for wrong, range_ in (([0, 4], "0 to 4"), ([-1, 3], "-1 to 3")):
        with pytest.raises(InputError, match=f"labels run from {range_}; this model tells 4 classes apart, 0 to 3"):
            learner.learn(support, torch.tensor([[1, 1], wrong]))
    learner.learn(support, torch.tensor([[1, 1], [0, 3]]))


def test_naming_a_controller_twice_is_naming_it_once():
    support, labels, query = tasks(num_support=2)
    once, twice = (make(fast_controllers=names) for names in (("input", "write"), ("write", "input", "write")))
    assert twice.fast_controllers == ("input", "write")
    assert torch.equal(once(support, labels, query), twice(support, labels, query))


def test_the_capacity_is_that_of_the_slots_where_each_example_takes_one():
    assert make().capacity is None
    assert make({"write_policy": "least_used"}).capacity == 4
