"""The training loop: a recipe and data in, checkpoints out. Lightning runs the epochs; see docs/training.md."""
