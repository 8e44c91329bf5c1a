"""Element types: ONNX's numbers, the names nnmeter uses for them, and their NumPy counterparts."""

from __future__ import annotations

from typing import Any

import numpy as np

# TensorProto.DataType of onnx.proto; 0 is UNDEFINED.
DTYPE_OF_CODE: dict[int, str] = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "string", 9: "bool",
    10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128", 16: "bfloat16",
    17: "float8e4m3fn", 18: "float8e4m3fnuz", 19: "float8e5m2", 20: "float8e5m2fnuz", 21: "uint4", 22: "int4",
    23: "float4e2m1", 24: "float8e8m0", 25: "uint2", 26: "int2",
}  # fmt: skip

# How Cast named types before operator set 6.
DTYPE_OF_NAME: dict[str, str] = {
    "FLOAT": "float32", "DOUBLE": "float64", **{name.upper(): name for name in DTYPE_OF_CODE.values()}
}  # fmt: skip

CODE_OF_DTYPE: dict[str, int] = {name: code for code, name in DTYPE_OF_CODE.items()}

NUMPY_OF_DTYPE: dict[str, np.dtype[Any]] = {
    name: np.dtype(name)
    for name in (
        *("float16", "float32", "float64", "complex64", "complex128", "bool"),
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    )
}

DTYPE_OF_NUMPY: dict[np.dtype[Any], str] = {numpy: name for name, numpy in NUMPY_OF_DTYPE.items()}
