"""Passes of MNN."""
