"""Timing kernels and models on this machine, and the measurements that come of it."""
