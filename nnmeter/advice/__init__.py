"""What a model would take if it were changed, and which changes pay: what-if, sweeps, advice."""
