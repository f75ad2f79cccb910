"""Ready-made learners: show examples, ask for answers."""
