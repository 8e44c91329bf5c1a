"""The trained functions of a device: kernels to milliseconds, and their uncertainty."""

from nnmeter.predictor.kernel_predictor import KernelPredictor
from nnmeter.predictor.price import KernelPrice
from nnmeter.predictor.stored import read_predictor, read_predictor_of, write_predictor

__all__ = ["KernelPredictor", "KernelPrice", "read_predictor", "read_predictor_of", "write_predictor"]
