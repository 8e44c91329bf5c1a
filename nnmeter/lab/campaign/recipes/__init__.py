"""Random networks of real blocks, whose kernels are profiled in context."""

from nnmeter.lab.campaign.recipes.network import FAMILIES, PRIOR, random_network

__all__ = ["FAMILIES", "PRIOR", "random_network"]
