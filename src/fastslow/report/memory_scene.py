"""One small task in slow motion: what a memory holds, and says, before and after it learns one drawing."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from fastslow.core.keyed_memory import KeyedState
from fastslow.data.base import ClassImages
from fastslow.data.episodes import EpisodeSampler
from fastslow.methods.networks import KeyedNetwork, MemoryMethod
from fastslow.methods.paper_rule import LiteralFastSlow
from fastslow.protocol.features import embed

#: Which task is shown, unless said otherwise. Not chosen by how the picture comes out.
SCENE_SEED = 2020


class MemoryScene(NamedTuple):
    """A memory before and after it learns one drawing of a class that it has never seen.

    Attributes:
        learned: one drawing a class, shape (classes, height, width); all but the last are learned before the scene.
        asked: another drawing of the last class.
        slots: the memory before and after, shape (2, slots, width).
        written: for each class, the slot that changed most when its drawing was learned.
        addresses: address weights of `asked`, before and after, shape (2, slots).
        probabilities: of the classes for `asked`, before and after, shape (2, classes).
        key_width: features of a slot that are its key; 0 where a slot is one vector.
    """

    learned: UInt8[Tensor, "classes height width"]
    asked: UInt8[Tensor, "height width"]
    slots: Float[Tensor, "2 slots width"]
    written: list[int]
    addresses: Float[Tensor, "2 slots"]
    probabilities: Float[Tensor, "2 classes"]
    key_width: int


@torch.no_grad()
def memory_scene(
    learner: MemoryMethod[Any], images: ClassImages, *, n_way: int = 5, seed: int = SCENE_SEED
) -> MemoryScene:
    """Has a learner learn the classes of a small task one by one, and asks it about the last one.

    Args:
        learner: a trained learner on the CPU; its training mode is put back afterwards.
        images: the data, of the size that its encoder takes.
        n_way: classes of the task; fewer where the learner tells only fewer apart.
        seed: which classes and drawings.

    Returns:
        What there is to be seen.

    Raises:
        ValueError: if the images cannot give such a task.
    """
    n_way = min(n_way, learner.num_classes)
    drawn = EpisodeSampler(labels=images.labels, n_way=n_way, n_shot=1, n_query=1, seed=seed).sample()
    shown = images.images[drawn.support_indices[0][drawn.support_labels[0].argsort()]]
    asked = images.images[drawn.query_indices[0][drawn.query_labels[0] == n_way - 1]]
    was_training = learner.training
    learner.eval()
    features = embed(learner.encoder, torch.cat([shown, asked])).unsqueeze(0)
    states = [learner.initial_state(1)]
    for c in range(n_way):
        states.append(learner.learn(features[:, c : c + 1], torch.tensor([[c]]), states[-1]))
    learner.train(was_training)
    question = features[:, n_way:]
    slots = torch.stack([_slots(state)[0] for state in states])
    return MemoryScene(
        learned=shown,
        asked=asked[0],
        slots=slots[-2:],
        written=slots.diff(dim=0).square().sum(-1).argmax(-1).tolist(),
        addresses=torch.stack([_address_weights(learner, question, state) for state in states[-2:]]),
        probabilities=torch.stack([learner.answer(question, s)[0, 0, :n_way].softmax(-1) for s in states[-2:]]),
        key_width=_slots(states[0])[1],
    )


def _address_weights(
    learner: MemoryMethod[Any],
    question: Float[Tensor, "1 1 features"],
    state: Any,  # noqa: ANN401 - a method's state
) -> Float[Tensor, " slots"]:
    """Where the memory is read when it is asked."""
    if isinstance(learner, KeyedNetwork):
        return learner.memory.look(question, state).address_weights[0, 0]
    assert isinstance(learner, LiteralFastSlow)
    return learner.memory.look(question, state.memory, state.fast).address_weights[0, 0]


def _slots(state: Any) -> tuple[Float[Tensor, "slots width"], int]:  # noqa: ANN401 - a method's state
    """The slots of one task, and how many of their features are a key; 0 where a slot is one vector."""
    if isinstance(state, KeyedState):
        return state.slots[0], state.keys.shape[-1]
    return state.memory.slots[0], 0
