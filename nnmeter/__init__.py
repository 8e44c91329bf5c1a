"""Predict how long a neural network takes on a device, and say why."""

__version__ = "0.1.0"
