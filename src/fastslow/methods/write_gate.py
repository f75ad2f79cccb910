"""The fast rule of the preset `default` with a write gate, for support sets with wrong labels; off unless asked for."""

from __future__ import annotations

import torch
from torch import Tensor

from fastslow.core import functional
from fastslow.core.keyed_memory import KeyedState
from fastslow.core.write_gate import SHARPNESS, Shown, agreement, drawn_together, members_of
from fastslow.errors import InputError
from fastslow.methods.default_rule import FastSlow
from fastslow.methods.networks import SupportStep


class GatedFastSlow(FastSlow):
    """`FastSlow`, each example written with a weight: how far all others in memory agree with its label.

    A slot answers in proportion to its gate, and its key lies between the example and the gated mean of its class.
    Gates are those of all that is in memory, found anew whenever something is learned: an example shown later says
    something about those before, and in how many parts a support set is given makes no difference to gates and keys.
    With one example of each class nothing changes, bit for bit. There are no weights beside those of `FastSlow`.
    """

    def initial_state(self, batch_size: int) -> KeyedState:
        """See `Method.initial_state`."""
        state = super().initial_state(batch_size)
        labels = torch.full_like(state.usage, -1, dtype=torch.int64)
        return state._replace(shown=Shown(torch.ones_like(state.usage), state.keys, labels))

    def learn_step(self, features: Tensor, labels: Tensor, state: KeyedState) -> tuple[SupportStep, KeyedState]:
        """See `FastSlow.learn_step`.

        Raises:
            ValueError: if the state is of a rule without a gate.
        """
        if state.shown is None:
            raise InputError("got a state without gates, of a rule that has none; begin with this one's initial_state")
        step, after = super().learn_step(features, labels, state)
        slots = functional.least_used_slots(state.usage, labels.shape[1])
        query = step.activations["input"].to(state.slots.dtype)
        keys = state.shown.keys.scatter(1, slots.unsqueeze(-1).expand_as(query), query)
        known = state.shown.labels.scatter(1, slots, labels)
        members = members_of(known, self.one_hot)
        gates = agreement(keys, members, SHARPNESS * self.memory.log_sharpness.exp())
        written = torch.cat([drawn_together(keys, members, gates), after.values], -1)
        return step, KeyedState(written, after.usage, Shown(gates, keys, known))


def with_write_gate(rule: FastSlow) -> GatedFastSlow:
    """A trained rule with the gate switched on; shares its parts with the one given."""
    gated = GatedFastSlow(
        encoder=rule.encoder, memory=rule.memory, decoder=rule.decoder, predictor=rule.predictor, step_size=1.0
    )
    gated.step_size = rule.step_size
    gated.one_hot = rule.one_hot
    return gated.train(rule.training)
