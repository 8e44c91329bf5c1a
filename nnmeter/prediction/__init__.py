"""Predictions: one model or many, on one device or several."""
