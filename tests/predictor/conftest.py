"""A made-up device whose kernels cost what a formula says, and measurements of random networks on it."""

from __future__ import annotations

import numpy as np
import pytest

from nnmeter.graph.ir import TensorType
from nnmeter.kernels.features import signature_cost
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.lab.measuring.measurement import Measurement


def convolution(channels: int, out_channels: int, size: int, kernel: int = 3) -> KernelSignature:
    """A `Conv+Relu` of batch 1 with padding that keeps the size."""
    return KernelSignature(
        "Conv+Relu",
        "Conv",
        "",
        (
            TensorType("float32", (1, channels, size, size)),
            TensorType("float32", (out_channels, channels, kernel, kernel)),
            TensorType("float32", (out_channels,)),
        ),
        (False, True, True),
        (TensorType("float32", (1, out_channels, size, size)),),
        (("activation", "Relu"), ("kernel_shape", (kernel, kernel)), ("pads", (kernel // 2,) * 4)),
    )


def addition(*shape: int) -> KernelSignature:
    """An `Add` of two tensors of one shape."""
    tensor = TensorType("float32", shape)
    return KernelSignature("Add", "Add", "", (tensor, tensor), (False, False), (tensor,))


def true_latency_ms(signature: KernelSignature) -> float:
    """What the made-up device takes: 40 GFLOP/s in convolutions, 8 GB/s, and 4 microseconds."""
    cost = signature_cost(signature)
    rate = 40e6 if signature.op_type == "Conv" else 5e6
    return cost.flops / rate + (cost.bytes_read + cost.bytes_written) / 8e6 + 0.004


@pytest.fixture(scope="session")
def measurements() -> list[Measurement]:
    """60 networks of 10 families; wall time is 0.97 of the profiled kernels and 20 microseconds."""
    generator = np.random.default_rng(0)
    found = []
    for number in range(60):
        kernels = []
        for _ in range(int(generator.integers(6, 14))):
            size = int(generator.choice([7, 14, 28, 56]))
            channels, out_channels = (int(c) for c in generator.choice([16, 32, 64, 96, 128, 256], 2))
            kernels.append(convolution(channels, out_channels, size, int(generator.choice([1, 3]))))
            kernels.append(addition(1, out_channels, size, size))
        times = [true_latency_ms(k) * float(np.exp(generator.normal(0, 0.02))) for k in kernels]
        wall = 0.97 * sum(times) + 0.02
        found.append(
            Measurement(
                id=f"block:{number}",
                granularity="block",
                network=f"net-{number}",
                family=f"family-{number % 10}",
                kernels=tuple(kernels),
                latency_ms=wall,
                min_ms=wall,
                median_ms=wall,
                p90_ms=wall,
                runs=5,
                reference_ms=2.0,
                half_ms=(wall, wall),
                threads=1,
                batch=1,
                sitting="test",
                kernel_ms=tuple(times),
                kernel_spread=(0.02,) * len(times),
                kernel_runs=5,
            )
        )
    return found
