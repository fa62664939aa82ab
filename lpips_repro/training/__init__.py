"""Learning from judgments: the ranking loss, stored lin features, the loop, checkpoints."""
