"""Learning: batches, losses, the loop, checkpoints, validation."""
