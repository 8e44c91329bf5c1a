"""Which kernels write where they read, by runtime: their output needs no memory of its own.

1. A *view* never needs memory: its output is its first input, seen with another shape.
2. A kernel that *may work in place* overwrites the input of the given position if nobody reads that any more, and it
   has the shape and the width of elements of the output.
"""

from __future__ import annotations

VIEWS = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"})

_FIRST = (0,)

# Kind of node -> inputs that its output may overwrite, in the order in which they are tried: those that ONNX Runtime's
# CPU kernels register (`MayInplace`, `core/providers/cpu`), found in what the arena of 1.32 was asked for while an
# operator read what nobody else does (`benchmarks/memory_in_place.py`). Arithmetic is not among them.
IN_PLACE: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(
        (
            "Relu", "Sigmoid", "Tanh", "Elu", "Selu", "Celu", "LeakyRelu", "ThresholdedRelu", "HardSigmoid", "Softplus",
            "Softsign", "Clip", "Cast", "Softmax", "LogSoftmax",
        ),
        _FIRST,
    ),
    "com.microsoft.FusedConv": (3,),
    "com.microsoft.nchwc.Conv": (3,),
}  # fmt: skip
