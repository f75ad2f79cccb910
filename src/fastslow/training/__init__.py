"""How weights come about: one loop, and stages that it knows nothing of."""
