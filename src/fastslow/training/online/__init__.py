"""The online regime: a stream learned in windows."""

from fastslow.training.online.forward_only import forward_only_step
from fastslow.training.online.learner import OnlineLearner, OnlineState, StepReport

__all__ = ["OnlineLearner", "OnlineState", "StepReport", "forward_only_step"]
