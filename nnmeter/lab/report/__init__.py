"""Reports of what the lab does, by the registry of `nnmeter.report.registry`."""

from nnmeter.report.registry import Registry

LAB = Registry("nnmeter.lab.report")

__all__ = ["LAB"]
