"""How much memory a model takes while it runs: weights, and tensors planned by the order of execution."""
