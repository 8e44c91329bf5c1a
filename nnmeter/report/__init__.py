"""Reports: a renderer for each document and format, found by the name of its file (`nnmeter.report.registry`)."""

from nnmeter.report.registry import CORE, Layout, Registry
from nnmeter.report.render import render

__all__ = ["CORE", "Layout", "Registry", "render"]
