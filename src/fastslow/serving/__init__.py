"""A stream learner behind HTTP; of what it has acknowledged nothing is lost."""
