"""Rule sets for phones and accelerators: one form of every network (`plain_network`), then what each runtime links.

Their sources are what the runtimes publish, and which of several alternatives explains published measurements best
(`benchmarks/fusion_alternatives.py`, `docs/fusion-discovery.md`).
"""
