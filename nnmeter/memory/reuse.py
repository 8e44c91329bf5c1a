"""Which kernels write where they read, by runtime: their output needs no memory of its own.

1. A *view* never needs memory: its output is its first input, seen with another shape.
2. A kernel that *may work in place* overwrites the input of the given position if nobody reads that any more, and it
   has the shape and the width of elements of the output.
"""

from __future__ import annotations

VIEWS = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"})

_FIRST, _EITHER = (0,), (0, 1)

# Kind of node -> inputs that its output may overwrite, in the order in which they are tried. Those of convolutions are
# what ONNX Runtime's CPU kernels register (`MayInplace`, `core/providers/cpu`); the others were not looked up, but are
# held against the memory that models really take (`benchmarks/memory.py`). Softmax was found in what
# the arena of 1.32 was asked for: of whisper-tiny-encoder, whose scores have 54 MB, one block of 100 MB.
IN_PLACE: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div"), _EITHER),
    **dict.fromkeys(
        (
            "Abs", "Neg", "Floor", "Ceil", "Reciprocal", "Sqrt", "Exp", "Log", "Sum", "Min", "Max", "Mean", "Relu",
            "Sigmoid", "Tanh", "Elu", "Selu", "LeakyRelu", "ThresholdedRelu", "HardSigmoid", "Softplus",
            "Softsign", "Clip", "Cast", "Softmax", "LogSoftmax", "com.microsoft.Gelu",
        ),
        _FIRST,
    ),
    "com.microsoft.FusedConv": (3,),
    "com.microsoft.nchwc.Conv": (3,),
}  # fmt: skip
