"""What a kernel takes in a run that nobody watches, from a measurement of its network.

Rules:

1. A profiler adds the same to every kernel: the times that it reports sum to more than an unobserved run of the
   network takes (5.1 microseconds a kernel for ONNX Runtime, fitted over 3,219 networks). The excess of a network's
   kernels over its own latency is taken off in equal parts.
2. No kernel loses more than nine tenths of its time that way.
3. What rule 2 leaves over is shared in proportion, so that the kernels sum to the latency of the network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from nnmeter.lab.measuring.measurement import Measurement

LEAST_SHARE = 0.1  # rule 2
_SHORTEST_MS = 1e-4  # profilers count whole microseconds; a kernel that shows as 0 took less than one


def unobserved_kernel_ms(measurement: Measurement) -> np.ndarray | None:
    """Milliseconds of each kernel of a measurement in an unobserved run, of shape (kernels,).

    Returns:
        None where single kernels were not timed: the runtime has no profiler.
    """
    if len(measurement.kernels) == 1 and not measurement.kernel_ms:
        return np.array([measurement.latency_ms])
    if not measurement.kernel_ms:
        return None
    seen_ms = np.maximum(np.array(measurement.kernel_ms, dtype=float), _SHORTEST_MS)
    excess_ms = (seen_ms.sum() - measurement.latency_ms) / len(seen_ms)
    left_ms = np.maximum(seen_ms - excess_ms, LEAST_SHARE * seen_ms)
    return np.asarray(left_ms * (measurement.latency_ms / left_ms.sum()))
