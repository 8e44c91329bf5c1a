"""Removing channels of a layer, with everything that depends on them."""
