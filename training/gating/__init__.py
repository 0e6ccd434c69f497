"""What the gate learns from, and how well it does: views of chests and of other pictures; see docs/training.md."""
