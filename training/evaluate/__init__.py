"""Scores of a checkpoint on a fold that it has not seen, beside the paper's; see docs/training.md."""
