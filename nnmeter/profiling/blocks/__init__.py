"""Random networks of real blocks, whose kernels are profiled in context."""

from nnmeter.profiling.blocks.network import FAMILIES, random_network

__all__ = ["FAMILIES", "random_network"]
