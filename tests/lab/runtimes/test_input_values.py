"""Operators get values that they can take: ONNX Runtime runs each of them, on what is drawn for its inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from nnmeter.lab.runtimes.weights import random_inputs

INT, FLOAT, BOOL = TensorProto.INT64, TensorProto.FLOAT, TensorProto.BOOL
OPSET = 18

# Operator, its inputs (element type and shape), number of outputs, attributes.
Case = tuple[str, list[tuple[int, list[int]]], int, dict[str, Any]]
DATA = (FLOAT, [1, 4, 6, 5])
CASES: dict[str, Case] = {
    "Gather": ("Gather", [DATA, (INT, [30])], 1, {"axis": 3}),
    "Gather, negative axis": ("Gather", [DATA, (INT, [30])], 1, {"axis": -4}),
    "GatherElements": ("GatherElements", [DATA, (INT, [1, 4, 6, 30])], 1, {"axis": 3}),
    "GatherND": ("GatherND", [DATA, (INT, [30, 3])], 1, {}),
    "GatherND of batches": ("GatherND", [DATA, (INT, [1, 9, 2])], 1, {"batch_dims": 1}),
    "ScatterElements": ("ScatterElements", [DATA, (INT, [1, 4, 2, 5]), (FLOAT, [1, 4, 2, 5])], 1, {"axis": 2}),
    "ScatterND": ("ScatterND", [DATA, (INT, [9, 2]), (FLOAT, [9, 6, 5])], 1, {}),
    "OneHot": ("OneHot", [(INT, [1, 7]), (INT, []), (FLOAT, [2])], 1, {}),
    "Reshape": ("Reshape", [DATA, (INT, [3])], 1, {}),
    "Expand": ("Expand", [DATA, (INT, [4])], 1, {}),
    "Tile": ("Tile", [DATA, (INT, [4])], 1, {}),
    "Range": ("Range", [(INT, []), (INT, []), (INT, [])], 1, {}),
    "ConstantOfShape": ("ConstantOfShape", [(INT, [3])], 1, {}),
    "Slice": ("Slice", [DATA, (INT, [2]), (INT, [2]), (INT, [2]), (INT, [2])], 1, {}),
    "Slice of one axis": ("Slice", [(FLOAT, [9]), (INT, [1]), (INT, [1]), (INT, [1])], 1, {}),
    "Pad": ("Pad", [DATA, (INT, [8])], 1, {}),
    "Resize by sizes": ("Resize", [DATA, None, None, (INT, [4])], 1, {}),  # type: ignore[list-item]
    "Resize by scales": ("Resize", [DATA, None, (FLOAT, [4])], 1, {}),  # type: ignore[list-item]
    "TopK": ("TopK", [DATA, (INT, [1])], 2, {}),
    "NonMaxSuppression": (
        "NonMaxSuppression",
        [(FLOAT, [1, 20, 4]), (FLOAT, [1, 3, 20]), (INT, []), (FLOAT, []), (FLOAT, [])],
        1,
        {},
    ),
    "RoiAlign": ("RoiAlign", [DATA, (FLOAT, [7, 4]), (INT, [7])], 1, {"output_height": 2, "output_width": 2}),
    "ReduceSum": ("ReduceSum", [DATA, (INT, [2])], 1, {}),
    "CumSum": ("CumSum", [(FLOAT, [9]), (INT, [])], 1, {}),
    "Unsqueeze": ("Unsqueeze", [DATA, (INT, [2])], 1, {}),
    "Split": ("Split", [DATA, (INT, [2])], 2, {"axis": 3}),
    "Trilu": ("Trilu", [DATA, (INT, [])], 1, {}),
    "Dropout": ("Dropout", [DATA, (FLOAT, []), (BOOL, [])], 1, {}),
    "Mod": ("Mod", [(INT, [5]), (INT, [5])], 1, {}),
    "ReverseSequence": ("ReverseSequence", [DATA, (INT, [4])], 1, {"time_axis": 0, "batch_axis": 1}),
    "ArrayFeatureExtractor": ("ai.onnx.ml.ArrayFeatureExtractor", [(FLOAT, [3, 7]), (INT, [1, 20])], 1, {}),
}


def model_of(case: Case) -> tuple[ModelProto, dict[str, tuple[int, ...]]]:
    operator, kinds, count, attributes = case
    domain, _, op_type = operator.rpartition(".")
    names = [f"i{position}" if kind is not None else "" for position, kind in enumerate(kinds)]
    inputs = {name: kind for name, kind in zip(names, kinds, strict=True) if name}
    outputs = [f"o{number}" for number in range(count)]
    node = helper.make_node(op_type, names, outputs, domain=domain, **attributes)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info(name, *kind) for name, kind in inputs.items()],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return model, {name: tuple(shape) for name, (_, shape) in inputs.items()}


@pytest.mark.parametrize("name", CASES)
def test_the_runtime_takes_what_is_drawn(name: str) -> None:
    ort = pytest.importorskip("onnxruntime")
    model, shapes = model_of(CASES[name])
    feeds = random_inputs(model, shapes, seed=3)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    outputs = session.run(None, feeds)
    assert all(output.size for output in outputs)


def test_indices_use_the_whole_table() -> None:
    model, shapes = model_of(CASES["Gather"])
    assert set(random_inputs(model, shapes)["i1"].tolist()) == set(range(5))


def test_lengths_are_whole() -> None:
    """Unknown lengths are priced as full ones: what is measured must be the same."""
    kinds: list[tuple[int, list[int]]] = [(FLOAT, [9, 2, 4]), (FLOAT, [1, 16, 4]), (FLOAT, [1, 16, 4])]
    lstm: Case = ("LSTM", [*kinds, None, (TensorProto.INT32, [2])], 1, {"hidden_size": 4})  # type: ignore[list-item]
    assert random_inputs(*model_of(lstm))["i4"].tolist() == [9, 9]
    assert random_inputs(*model_of(CASES["TopK"]))["i1"].tolist() == [5]
    assert random_inputs(*model_of(CASES["NonMaxSuppression"]))["i2"] == 20
    assert random_inputs(*model_of(CASES["Slice"]))["i2"].tolist() == [2**31 - 1] * 2


def test_indices_behind_sums_and_choices_are_the_first() -> None:
    nodes = [
        helper.make_node("Add", ["ids", "offset"], ["moved"]),
        helper.make_node("Where", ["flag", "moved", "ids"], ["chosen"]),
        helper.make_node("Div", ["chosen", "step"], ["scaled"]),
        helper.make_node("Cast", ["scaled"], ["whole"], to=INT),
        helper.make_node("Gather", ["table", "whole"], ["y"]),
    ]
    kinds = {"ids": INT, "offset": INT, "flag": BOOL, "step": INT, "table": FLOAT}
    inputs = [helper.make_tensor_value_info(name, kind, [7]) for name, kind in kinds.items()]
    graph = helper.make_graph(nodes, "g", inputs, [helper.make_empty_tensor_value_info("y")])
    feeds = random_inputs(helper.make_model(graph), dict.fromkeys(kinds, (7,)))
    assert not feeds["ids"].any()
    assert not feeds["offset"].any()
    assert np.all(feeds["flag"])
    assert np.all(feeds["step"] == 1)
