"""Learning from judgments: the ranking loss, the model, the loop and its output."""
