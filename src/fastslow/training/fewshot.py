"""Few-shot classification of characters (paper Sec. 4.1): the cheap training order, end to end.

Three stages: the encoder alone (prototypical loss on pairs), memory and predictors on cached features, everything end
to end through the query loss. Stages can be left out by their share of the length.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fastslow.core.feedback import true_gradients
from fastslow.core.predictors import RunningRMS, gradient_quality, predictor_loss
from fastslow.data.augment import affine, affine_amounts
from fastslow.data.base import ClassImages
from fastslow.data.episodes import EpisodeBatch, EpisodeSampler
from fastslow.data.splits import Split
from fastslow.errors import InputError
from fastslow.methods.episodic import EpisodicLearner, SupportStep
from fastslow.methods.files import TrainedModel
from fastslow.methods.finetune import finetune_classifier
from fastslow.methods.models import build_learner
from fastslow.methods.protonet import PrototypeClassifier, pair_loss
from fastslow.protocol.fewshot import QUERIES_PER_CLASS, embed, evaluate_episodes, to_unit
from fastslow.studies.fewshot_config import FewShotConfig
from fastslow.training import distributed
from fastslow.training.run import Run

StageName = Literal["encoder", "memory", "finetune"]
STAGES: tuple[StageName, ...] = ("encoder", "memory", "finetune")
#: Seed and number of the validation episodes.
VALIDATION_SEED, VALIDATION_EPISODES = 7, 200


class Progress(NamedTuple):
    """Where training is, for whoever shows it.

    Attributes:
        stage: name of the stage.
        step: steps done in the stage.
        done: share of the whole training done, in [0, 1].
        rate: episodes a second.
        loss: running mean of the loss, nats.
        validation: last validation accuracy in [0, 1], or None before the first.
    """

    stage: str
    step: int
    done: float
    rate: float
    loss: float
    validation: float | None


class Interrupted(Exception):
    """Training was stopped by the user; the checkpoint to resume from has been written."""


class FewShotTraining:
    """One training run: everything that changes while it runs, and how to save and restore it exactly.

    Args:
        config: the options.
        images: all images.
        split: their split.

    Attributes:
        run: the folder that the run leaves behind; None while there is none, as in all processes but the first.
    """

    def __init__(self, config: FewShotConfig, images: ClassImages, split: Split) -> None:
        self.config = config
        self.run: Run | None = None
        self.device = pick_device(config.device)
        torch.manual_seed(config.seed)
        self.learner = build_learner(config.model_config()).to(self.device)
        self.prototypes = PrototypeClassifier(num_classes=config.way).to(self.device)
        self.scales = nn.ModuleDict({name: RunningRMS() for name in self.learner.fast_controllers}).to(self.device)
        train = split.train if config.train_on == "train" else split.train_and_validation
        if len(split.validation) < config.way or len(train) < config.way:
            raise InputError(
                f"way={config.way} came, but the split has {len(train)} classes for training and "
                f"{len(split.validation)} for validation; choose a smaller way"
            )
        self.train = images.select(train).with_rotations()
        self.validation = images.select(split.validation)
        self.stages = plan_stages(config)
        self._refuse_impossible_episodes(images.select(split.test) if config.test else self.validation)
        self.stage, self.step, self.seconds, self.total_seconds = 0, 0, 0.0, 0.0
        self.generator = torch.Generator().manual_seed(config.seed)
        self.num_logged = 0
        self.features: Tensor | None = None
        self._begin_stage()

    @property
    def encoder(self) -> nn.Module:
        """The images' way to features."""
        return self.learner.network.encoder

    def start_from_encoder(self, model: TrainedModel) -> None:
        """Takes encoder and prototypes of a trained model in place of the encoder stage.

        Raises:
            ValueError: if that encoder has other sizes.
        """
        try:
            self.encoder.load_state_dict(model.learner.network.encoder.state_dict())
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise InputError(f"the encoder to start from has other sizes: {reason}") from error
        self.prototypes.load_state_dict(model.prototypes.state_dict())
        self._begin_stage()

    def _refuse_impossible_episodes(self, measured_on: ClassImages) -> None:
        """Draws up the episodes of all stages, of validation and of the final figures: refused now, not then."""
        wanted = [(self.validation, QUERIES_PER_CLASS), (measured_on, QUERIES_PER_CLASS)]
        if set(self.stages) - {"encoder"}:
            wanted += [(self.train, self.config.queries), (self.validation, self.config.queries)]
        for images, n_query in wanted:
            EpisodeSampler(
                labels=images.labels, n_way=self.config.way, n_shot=self.config.shot, n_query=n_query, seed=0
            )

    def _begin_stage(self) -> None:
        """Sets up sampler, optimiser and, where wanted, cached features for the current stage."""
        if self.stage == len(self.stages):
            return
        name, config = self.stages[self.stage], self.config
        index = STAGES.index(name)
        if name == "encoder":
            parameters = [*self.encoder.parameters(), *self.prototypes.parameters()]
            way, shot, queries = min(config.pair_classes, self.train.num_classes), 1, 1
        else:
            parameters = [p for p in self.learner.parameters() if p.requires_grad]
            if name == "memory":
                resting: list[nn.Module] = [self.encoder]
                if self.learner.network.memory.residual_query:
                    # Queries are what the encoder learned to compare. On cached features the input controller would
                    # learn the training classes by heart: it moves end to end only, where drawings vary.
                    resting.append(self.learner.network.memory.input_controller)
                frozen = {id(p) for module in resting for p in module.parameters()}
                parameters = [p for p in parameters if id(p) not in frozen]
                self.features = self._cached_features()
            way, shot, queries = config.way, config.shot, config.queries
            if self.learner.network.memory.slots == "keyed" and self.step == 0:
                # Keys are compared as the encoder stage learned to compare features.
                self.learner.network.memory.log_sharpness.data.copy_(self.prototypes.log_sharpness.data)
        self.sampler = EpisodeSampler(
            labels=self.train.labels, n_way=way, n_shot=shot, n_query=queries, seed=config.seed * 1000 + index
        )
        self.optimizer = torch.optim.AdamW(
            parameters, lr=config.learning_rates[index], weight_decay=config.weight_decay
        )

    def _cached_features(self) -> Tensor:
        """Features of the training images as they are and once changed, shape (2, images, features)."""
        generator = torch.Generator().manual_seed(self.config.seed)
        clean = embed(self.encoder, self.train.images, device=self.device)
        changed = []
        for part in torch.split(self.train.images, 2000):
            seen = affine(to_unit(part), affine_amounts(len(part), generator))
            changed.append((seen[:, 0] * 255).round().to(torch.uint8))
        return torch.stack([clean, embed(self.encoder, torch.cat(changed), device=self.device)])

    def loss(self) -> tuple[Tensor, list[SupportStep]]:
        """Draws this step's batch, this process's share of it; its loss in nats, and what was learned on the way."""
        name = self.stages[self.stage]
        if name == "encoder":
            batch = self.sampler.sample()
            pairs = torch.stack([batch.support_indices[0], _by_label(batch)], dim=1)
            images = self._images(distributed.share(pairs))
            features = self._embed(images).reshape(-1, 2, self.learner.network.memory.input_controller.input_size)
            return pair_loss(features, self.prototypes.log_sharpness.exp()), []
        batch = self.sampler.sample(self.config.cached_tasks if name == "memory" else self.config.tasks)
        n_support = batch.support_indices.shape[1]
        indices = torch.cat([batch.support_indices, batch.query_indices], dim=1)
        if name == "memory":
            assert self.features is not None
            view = torch.randint(len(self.features), indices.shape, generator=self.generator)
            features = self.features[distributed.share(view), distributed.share(indices)]
        else:
            features = self._embed(self._images(distributed.share(indices)))
            features = features.reshape(-1, indices.shape[1], features.shape[-1])
        labels = distributed.share(batch.support_labels).to(self.device)
        cut = int(torch.randint(1, n_support, (), generator=self.generator)) if n_support > 1 else 0
        if not torch.rand((), generator=self.generator) < self.config.split_support:
            cut = 0
        state, steps = None, []
        for part in [slice(0, cut), slice(cut, n_support)] if cut else [slice(0, n_support)]:
            taken, state = self.learner.learn(features[:, part], labels[:, part], state)
            steps += taken
        assert state is not None
        logits = self.learner.answer(features[:, n_support:], state)
        target = distributed.share(batch.query_labels).to(self.device)
        return F.cross_entropy(logits.flatten(0, 1), target.flatten()), steps

    def _fit_gradients(self, loss: Tensor, steps: list[SupportStep]) -> list[tuple[nn.Parameter, Tensor]]:
        """Eq. 11: the gradients that fit the predictors to the true gradients of a loss, whose graph stays."""
        found = []
        for name, scale in self.scales.items():
            assert isinstance(scale, RunningRMS)
            parameters = [p for p in getattr(self.learner.predictors, name).parameters() if p.requires_grad]
            true = true_gradients(loss, [step.activations[name] for step in steps])
            pairs = [(s.synthetic_grads[name], t) for s, t in zip(steps, true, strict=True) if t is not None]
            if not parameters or not pairs:
                continue
            scale.update(torch.cat([t.flatten(0, -2) for _, t in pairs]))
            distributed.average_buffers(scale)
            fit = torch.stack([predictor_loss(s, t, scale.scale) for s, t in pairs]).mean()
            # By the predictor's own parameters: Eq. 11 moves neither controllers nor encoder.
            grads = torch.autograd.grad(self.config.fit_weight * fit, parameters, retain_graph=True)
            found += list(zip(parameters, grads, strict=True))
        return found

    def _images(self, indices: Tensor) -> Tensor:
        """Training images by index, changed a little if wanted, shape (indices, 1, height, width)."""
        images = to_unit(self.train.images[indices.flatten()].to(self.device))
        if not self.config.augment:
            return images
        joint = affine_amounts(len(images) * distributed.world_size(), self.generator)
        return affine(images, distributed.share(joint))

    def _embed(self, images: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            features: Tensor = self.encoder(images)
        return features.float()

    def update(self) -> float:
        """One step: loss, gradients over all processes, learning rate, optimiser. The loss, nats."""
        self.learner.train()
        # Statistics are the batch's while the encoder learns alone, frozen as soon as tasks are learned.
        self.encoder.train(self.stages[self.stage] == "encoder")
        rate = self.config.learning_rates[STAGES.index(self.stages[self.stage])] * self.schedule()
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss, steps = self.loss()
        self.optimizer.zero_grad(set_to_none=True)
        fit = self._fit_gradients(loss, steps) if self.config.fit_weight and steps else []
        loss.backward()  # type: ignore[no-untyped-call]
        for parameter, towards_true in fit:
            parameter.grad = towards_true if parameter.grad is None else parameter.grad + towards_true
        distributed.average_gradients(parameters)
        if self.stages[self.stage] != "encoder":
            nn.utils.clip_grad_norm_(parameters, self.config.clip)
        self.optimizer.step()
        self.step += 1
        return float(loss.detach())

    def schedule(self) -> float:
        """Factor of the learning rate: linear warm-up, then a cosine to a hundredth over the stage."""
        warm = min(1.0, (self.step + 1) / max(1, self.config.warmup))
        return warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, self.stage_done()))))

    def stage_done(self) -> float:
        """Share of the current stage done, in [0, 1] or a little above."""
        share = self.config.shares[STAGES.index(self.stages[self.stage])] / self._total_share()
        if self.config.steps is not None:
            return self.step / max(1, round(self.config.steps * share))
        assert self.config.minutes is not None
        return self.seconds / (60 * self.config.minutes * share)

    def done(self) -> float:
        """Share of the whole training done."""
        shares = [self.config.shares[STAGES.index(name)] / self._total_share() for name in self.stages]
        current = shares[self.stage] * min(1.0, self.stage_done()) if self.stage < len(self.stages) else 0.0
        return sum(shares[: self.stage]) + current

    def _total_share(self) -> float:
        return sum(self.config.shares[STAGES.index(name)] for name in self.stages)

    def validate(self, features: Tensor) -> float:
        """Accuracy on validation episodes, in [0, 1]: of prototypes in the encoder stage, of the learner after it."""
        classify = self.prototypes if self.stages[self.stage] == "encoder" else self.learner
        self.learner.eval()
        with torch.inference_mode():
            return float(self._accuracy(classify, features))

    def _accuracy(self, classify: Callable[[Tensor, Tensor, Tensor], Tensor], features: Tensor) -> Tensor:
        return evaluate_episodes(
            classify,
            features,
            self.validation.labels,
            n_way=self.config.way,
            n_shot=self.config.shot,
            episodes=VALIDATION_EPISODES,
            seed=VALIDATION_SEED,
        ).mean()

    def gradient_quality(self, features: Tensor) -> dict[str, dict[str, float]]:
        """How near each predictor is to the true gradient of the query loss, on validation tasks (Eq. 11).

        Args:
            features: of the validation images.

        Returns:
            By fast controller: cosine, relative error and both norms; means over tasks and support steps. A controller
            whose outputs the loss does not depend on is left out.
        """
        sampler = EpisodeSampler(
            labels=self.validation.labels, n_way=self.config.way, n_shot=self.config.shot, n_query=self.config.queries,
            seed=VALIDATION_SEED,
        )  # fmt: skip
        batch = sampler.sample(16)
        steps, state = self.learner.learn(features[batch.support_indices], batch.support_labels.to(self.device))
        logits = self.learner.answer(features[batch.query_indices], state)
        loss = F.cross_entropy(logits.flatten(0, 1), batch.query_labels.flatten().to(self.device), reduction="sum")
        qualities = {}
        for name in self.learner.fast_controllers:
            pairs = [
                (step.synthetic_grads[name], true)
                for step, true in zip(steps, true_gradients(loss, [s.activations[name] for s in steps]), strict=True)
                if true is not None
            ]
            if pairs:
                # Steps of a large support set may be of different numbers of examples.
                predicted, true = (
                    torch.cat([grad.flatten(0, -2) for grad in part]) for part in zip(*pairs, strict=True)
                )
                qualities[name] = {k: float(v) for k, v in gradient_quality(predicted, true)._asdict().items()}
        return qualities

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {
            "stage": self.stage, "step": self.step, "seconds": self.seconds, "total_seconds": self.total_seconds,
            "num_logged": self.num_logged,
            "learner": self.learner.state_dict(), "prototypes": self.prototypes.state_dict(),
            "scales": self.scales.state_dict(),
            "optimizer": self.optimizer.state_dict(), "sampler": self.sampler.state_dict(),
            "generator": self.generator.get_state(),
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from a saved state: the steps that follow are those that would have followed then.

        Raises:
            ValueError: if the state is of a model of other sizes.
        """
        try:
            self.learner.load_state_dict(state["learner"])
            self.prototypes.load_state_dict(state["prototypes"])
            self.scales.load_state_dict(state["scales"])
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise InputError(f"the checkpoint is of a model of other sizes: {reason}") from error
        self.stage, self.step, self.seconds = state["stage"], state["step"], state["seconds"]
        self.num_logged, self.total_seconds = state["num_logged"], state["total_seconds"]
        self.generator.set_state(state["generator"])
        if self.stage < len(self.stages):
            self._begin_stage()
            self.optimizer.load_state_dict(state["optimizer"])
            self.sampler.load_state_dict(state["sampler"])

    def fit(self, on_progress: Callable[[Progress], None] | None = None, validate_every: float = 30.0) -> None:
        """Runs all stages to their end, writing checkpoints and metrics on the way.

        Args:
            on_progress: called after each step.
            validate_every: seconds between validations.

        Raises:
            Interrupted: on Ctrl-C, after a checkpoint has been written.
        """
        validation: float | None = None
        with stop_on_interrupt() as stopped:
            while self.stage < len(self.stages):
                mean_loss, last_check, last_save = math.nan, time.monotonic(), time.monotonic()
                while self.stage_done() < 1:
                    began = time.monotonic()
                    loss = self.update()
                    took = time.monotonic() - began
                    self.seconds, self.total_seconds = self.seconds + took, self.total_seconds + took
                    if not math.isfinite(loss):
                        raise InputError(f"the loss became {loss} at step {self.step}; use a smaller learning rate")
                    mean_loss = loss if math.isnan(mean_loss) else 0.98 * mean_loss + 0.02 * loss
                    rate = (1 if self.stages[self.stage] == "encoder" else self.config.tasks) / took
                    if on_progress is not None:
                        on_progress(
                            Progress(self.stages[self.stage], self.step, self.done(), rate, mean_loss, validation)
                        )
                    if distributed.any_process(bool(stopped)):
                        self._save()
                        raise Interrupted
                    if time.monotonic() - last_check > validate_every:
                        validation = self._log(mean_loss)
                        last_check = time.monotonic()
                    if time.monotonic() - last_save > self.config.checkpoint_seconds:
                        self._save()
                        last_save = time.monotonic()
                validation = self._log(mean_loss)
                distributed.average_buffers(self.encoder)
                self.stage, self.step, self.seconds, self.features = self.stage + 1, 0, 0.0, None
                self._begin_stage()
                self._save()

    def _log(self, loss: float) -> float | None:
        if self.run is None:
            return None
        features = embed(self.encoder, self.validation.images, device=self.device)
        accuracy = self.validate(features)
        in_tasks = self.stages[self.stage] != "encoder"
        self.run.log(
            stage=self.stages[self.stage], step=self.step, seconds=round(self.seconds, 3), done=round(self.done(), 5),
            loss=loss, validation=accuracy, gradients=self.gradient_quality(features) if in_tasks else {},
        )  # fmt: skip
        self.num_logged += 1
        return accuracy

    def _save(self) -> None:
        if self.run is not None:
            self.run.save_checkpoint(self.state_dict())


def plan_stages(config: FewShotConfig) -> list[StageName]:
    """The stages that a run goes through: those with a share, as far as the method has use for them."""
    if config.method != "fastslow":
        # Without labels in its input the plain network cannot learn from tasks (docs/deviations.md): both
        # references are their encoder.
        return [] if config.encoder is not None else ["encoder"]
    return [
        name
        for name, share in zip(STAGES, config.shares, strict=True)
        if share > 0 and not (name == "encoder" and config.encoder is not None)
    ]


def pick_device(name: str) -> torch.device:
    """The device that a name means here.

    Raises:
        ValueError: if CUDA was asked for and is not there.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda was asked for, but torch finds no GPU; use --device cpu or auto")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def classifier(
    method: str, learner: EpisodicLearner, prototypes: PrototypeClassifier, *, finetune_steps: int, finetune_rate: float
) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """What answers test episodes for a method."""
    if method == "protonet":
        return prototypes
    if method == "nmn":
        return finetune_classifier(learner, steps=finetune_steps, rate=finetune_rate)
    return learner


def _by_label(batch: EpisodeBatch) -> Tensor:
    """The query of each support example's class, one a class, in the order of the support set."""
    order = batch.query_labels[0].argsort()
    return batch.query_indices[0][order][batch.support_labels[0]]


@contextmanager
def stop_on_interrupt() -> Iterator[list[bool]]:
    """Turns Ctrl-C and a polite kill into a flag (a non-empty list), so that no step is cut in half."""
    stopped: list[bool] = []
    try:
        previous = {
            number: signal.signal(number, lambda *_: stopped.append(True)) for number in (signal.SIGINT, signal.SIGTERM)
        }
    except ValueError:  # not the main thread: signals are not ours to catch
        yield stopped
        return
    try:
        yield stopped
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
