"""Importers of published latencies into the one measurement format; one module a data set."""
