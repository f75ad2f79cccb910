"""The three learning regimes: a stream (`online`), tasks (`episodic`), and gradient steps on a task (`finetune`)."""
