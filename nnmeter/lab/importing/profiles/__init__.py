"""Profiles that the tools of runtimes write, read as measurements: one module a format, one table of them."""
