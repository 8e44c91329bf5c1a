"""Small models and raw protobuf fields, for tests of the reader."""

import onnx
import pytest
from onnx import TensorProto, helper

from nnmeter.errors import ModelError
from nnmeter.formats import read_model

FLOAT = TensorProto.FLOAT


def value(name: str, shape: list | None, dtype: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def model_of(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[str],
    initializers: list[onnx.TensorProto] | None = None,
    opset: int = 17,
    functions: list[onnx.FunctionProto] | None = None,
    domains: list[str] | None = None,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes, "g", inputs, [onnx.ValueInfoProto(name=name) for name in outputs], initializers or []
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains or ())]
    return helper.make_model(graph, opset_imports=imports, functions=functions or [])


def relu_model(**kwargs: object) -> onnx.ModelProto:
    return model_of([helper.make_node("Relu", ["x"], ["y"], "r")], [value("x", [1, 8])], ["y"], **kwargs)


def fault_of(source: object) -> str:
    with pytest.raises(ModelError) as caught:
        read_model(source)
    message = str(caught.value)
    assert "\n" not in message
    assert ";" in message, "a remedy is missing"
    return message


def two_level_functions() -> list[onnx.FunctionProto]:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    scale = helper.make_node("LeakyRelu", ["a"], ["b"], "leak")
    scale.attribute.append(onnx.AttributeProto(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT))
    leaf = helper.make_function("f", "Leaf", ["a"], ["b"], [scale], opsets, attributes=["slope"])
    call = helper.make_node("Leaf", ["p"], ["q"], "call", domain="f", slope=0.25)
    outer = helper.make_function(
        "f", "Outer", ["p", "unused"], ["r", "p"], [call, helper.make_node("Neg", ["q"], ["r"], "neg")], opsets
    )
    return [leaf, outer]


def encoded_varint(number: int) -> bytes:
    data = b""
    while number > 127:
        data += bytes([number & 127 | 128])
        number >>= 7
    return data + bytes([number])
