"""The stages of few-shot training: the encoder on pairs, tasks on cached features, everything end to end."""
