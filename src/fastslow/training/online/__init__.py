"""The online regime: a stream learned in windows."""

from fastslow.training.online.learner import OnlineLearner, OnlineState, StepReport

__all__ = ["OnlineLearner", "OnlineState", "StepReport"]
