"""The trained functions of a device: kernels to milliseconds, and their uncertainty."""

from nnmeter.predictor.kernel_predictor import KernelPredictor
from nnmeter.predictor.price import KernelPrice

__all__ = ["KernelPredictor", "KernelPrice"]
