"""The reference kernel: the fixed piece of work that every timed run is followed by.

One thread multiplies two float32 matrices of 384 x 384, in the runtime that is being measured. Only the first row of
the product is returned, since a result of 590 kB would be allocated anew in every run, at the price of page faults that
doubled the time of some runs.
"""

from __future__ import annotations

from functools import cache

import numpy as np

SIZE = 384
FLOPS = 2 * SIZE**3


@cache
def reference_model() -> bytes:
    """The reference kernel as a serialized ONNX model."""
    from onnx import TensorProto, helper, numpy_helper

    square = [SIZE, SIZE]
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["left", "right"], ["product"], name="product"),
            helper.make_node("Gather", ["product", "first"], ["row"], name="row"),
        ],
        "reference",
        [
            helper.make_tensor_value_info("left", TensorProto.FLOAT, square),
            helper.make_tensor_value_info("right", TensorProto.FLOAT, square),
        ],
        [helper.make_tensor_value_info("row", TensorProto.FLOAT, [1, SIZE])],
        [numpy_helper.from_array(np.zeros(1, np.int64), "first")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())
