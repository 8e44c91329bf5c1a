"""Zeros and precisions of tensors: what of a model need not be computed, and what a runtime makes of it."""
