"""What kernels take beside their inputs and outputs, and what packing of their weights takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode
from nnmeter.memory.weights import Packed, held_weights
from nnmeter.memory.workspace import is_symmetric, workspace_chunks
from tests.fusion.models import f32, make_graph

PIXELS = 14 * 14


def convolution(
    data: str = "uint8", weights: str = "int8", shape: tuple[int, ...] = (32, 16, 3, 3), zero: int = 0, **given: Any
) -> tuple[WorkingGraph, WorkNode]:
    """A QLinearConv on a map of 14 x 14 pixels, padded so that it keeps its size, in a graph for AVX2."""
    group = int(given.get("group", 1))
    window = shape[2]
    attributes = f"pads=[{','.join([str(window // 2)] * 4)}],group={group}"
    values: dict[str, Any] = {
        "s": f32(0.1),
        "z": np.dtype(data).type(0),
        "w": np.zeros(shape, weights),
        "wz": np.dtype(weights).type(zero),
    }
    text = (
        f"agraph ({data}[1,{shape[1] * group},14,14] x) => ({data}[1,{shape[0]},14,14] y) "
        f"{{ y=QLinearConv<{attributes}>(x,s,z,w,s,wz,s,z) }}"
    )
    graph = WorkingGraph(make_graph(text, **values), {"block": 8})
    return graph, next(graph.ordered())


@pytest.mark.parametrize(
    ("given", "chunks"),
    [
        # Symmetric: pointers to 9 pixels for each pixel; copies with channels last.
        ({}, (16 * PIXELS + 30, 32 * PIXELS, 8 * 9 * PIXELS)),
        # Signed data, or weights around another zero: sums in 32 bits, and unfolded windows.
        ({"data": "int8"}, (4 * 32 * PIXELS, 16 * PIXELS + 30, 32 * PIXELS, 16 * 9 * PIXELS + 30)),
        ({"zero": 1}, (4 * 32 * PIXELS, 16 * PIXELS + 30, 32 * PIXELS, 16 * 9 * PIXELS + 30)),
        ({"shape": (20, 16, 3, 3)}, (4 * 20 * PIXELS, 16 * PIXELS + 30, 20 * PIXELS, 16 * 9 * PIXELS + 30)),
        # Single pixels need no windows.
        ({"data": "int8", "shape": (32, 16, 1, 1)}, (4 * 32 * PIXELS, 16 * PIXELS + 30, 32 * PIXELS)),
        ({"shape": (32, 16, 1, 1)}, (16 * PIXELS + 30, 32 * PIXELS)),
        # Depthwise: pointers, whether symmetric or not.
        ({"shape": (32, 1, 3, 3), "group": 32}, (32 * PIXELS + 30, 32 * PIXELS, 8 * 9 * PIXELS)),
        (
            {"shape": (24, 1, 3, 3), "group": 24},
            (4 * 24 * PIXELS, 24 * PIXELS + 30, 24 * PIXELS, 8 * 9 * PIXELS),
        ),
    ],
)
def test_integer_convolutions_take_what_their_kernel_needs(given: dict[str, Any], chunks: tuple[int, ...]) -> None:
    graph, node = convolution(**given)
    assert workspace_chunks(node, graph) == chunks


@pytest.mark.parametrize(
    ("given", "packed"),
    [
        ({}, Packed(32 * 16 * 9)),
        ({"data": "int8"}, Packed(32 * (16 * 9 + 4), 32 * 16 * 9)),
        ({"data": "int8", "shape": (36, 16, 3, 3)}, Packed(48 * (16 * 9 + 4), 36 * 16 * 9)),
        ({"data": "int8", "shape": (32, 1, 3, 3), "group": 32}, Packed(32 * 9)),
    ],
)
def test_their_weights_are_packed_through_scratch_memory(given: dict[str, Any], packed: Packed) -> None:
    graph, node = convolution(**given)
    plain, found = held_weights(graph, [node], runtime="onnxruntime")
    assert found == [packed]
    assert plain < 20  # scales and zero points


def test_a_runtime_that_packs_nothing_holds_weights_as_they_are() -> None:
    graph, node = convolution()
    plain, found = held_weights(graph, [node], runtime="tflite")
    assert found == []
    assert plain >= 32 * 16 * 9


def test_plain_integer_convolutions_unfold_their_windows() -> None:
    text = "agraph (uint8[1,16,14,14] x) => (int32[1,32,12,12] y) { y=ConvInteger(x,w) }"
    graph = WorkingGraph(make_graph(text, w=np.zeros((32, 16, 3, 3), np.int8)))
    assert workspace_chunks(next(graph.ordered()), graph) == (16 * 9 * 12 * 12,)


def test_openvino_holds_weights_beside_a_packed_copy() -> None:
    graph = WorkingGraph(
        make_graph(
            "agraph (float[1,16,14,14] x) => (float[1,32,12,12] y) { y=Conv(x,w) }",
            w=np.zeros((32, 16, 3, 3), np.float32),
        )
    )
    plain, found = held_weights(graph, list(graph.ordered()), runtime="openvino")
    assert (plain, found) == (32 * 16 * 9 * 4, [Packed(32 * 16 * 9 * 4)])


def test_zero_points_that_nobody_knows_are_taken_for_zero() -> None:
    graph, node = convolution()
    graph.values = {name: value for name, value in graph.values.items() if name != "wz"}
    assert is_symmetric(node, graph)
