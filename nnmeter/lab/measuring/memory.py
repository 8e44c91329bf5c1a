"""Memory of the measuring process: how much it has, how much a network will take, and what is given back.

A network lives several times while it is compiled: as a model, serialized, in the runtime as it was read, and once more
where the runtime repacks it for its kernels (`COPIES`).
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

# Seen of 12 networks with 128 to 352 MB of weights: 5.0 to 5.2 times their weights with OpenVINO, 4.4 to 5.8 with ONNX
# Runtime, the most where they are smallest; all of them within this estimate.
COPIES = 5.0
ACTIVATION_BYTES = 300_000_000
LIMIT_BYTES = 3_000_000_000


def resident_bytes() -> int:
    """Resident memory of this process; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as stream:
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def peak_resident_bytes() -> int:
    """The largest resident memory that this process ever had; 0 where the system does not tell."""
    found = _status_bytes("VmHWM:")
    if found:
        return found
    with contextlib.suppress(ImportError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return int(peak if sys.platform == "darwin" else peak * 1024)
    return 0


def compiling_bytes(model: onnx.ModelProto) -> int:
    """Estimate of the memory that a network takes at most while it is compiled and run, itself included."""
    weights = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    return int(COPIES * weights) + ACTIVATION_BYTES


def give_back() -> None:
    """Collects garbage and returns free memory to the system, where its allocator can."""
    gc.collect()
    if os.name == "posix":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def _status_bytes(name: str) -> int:
    try:
        with open("/proc/self/status", encoding="ascii") as stream:
            for line in stream:
                if line.startswith(name):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
