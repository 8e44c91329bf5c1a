"""Latencies that others published, as measurements."""
