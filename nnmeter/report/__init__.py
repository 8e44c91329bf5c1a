"""Reports: one renderer a module, looked up by the name of its format and imported when used."""

from nnmeter.report.render import FORMATS, Layout, render

__all__ = ["FORMATS", "Layout", "render"]
