from __future__ import annotations

import pytest

from nnmeter.errors import ModelError
from nnmeter.lab.importing.nasbench201 import nasbench201_nodes, parse_cell
from nnmeter.lab.importing.node_list import graph_of_node_list

SKIPS = "|skip_connect~0|+|skip_connect~0|none~1|+|skip_connect~0|none~1|none~2|"
DENSE = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"


def count(cell: str, operator: str) -> int:
    graph = graph_of_node_list("cell", nasbench201_nodes(cell, 16, 5, 10))
    return sum(node.op_type == operator for node in graph.nodes)


def test_the_skeleton_has_a_stem_two_residual_blocks_and_a_product():
    assert count(SKIPS, "Conv") == 1 + 2 * 3
    assert count(SKIPS, "Gemm") == 1
    assert count(SKIPS, "AveragePool") == 2
    assert count(SKIPS, "Add") == 2


def test_every_cell_has_its_operations():
    assert count(DENSE, "Conv") == 7 + 15 * 6
    assert count(DENSE, "Add") == 2 + 15 * 3


def test_channels_double_and_maps_halve_from_stage_to_stage():
    graph = graph_of_node_list("cell", nasbench201_nodes(DENSE, 16, 5, 10))
    shapes = {graph.types[node.outputs[0]].shape for node in graph.nodes if node.op_type == "Conv"}
    assert shapes == {(1, 16, 32, 32), (1, 32, 16, 16), (1, 64, 8, 8)}


def test_operations_that_the_output_does_not_depend_on_are_left_out():
    dead = "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|skip_connect~0|none~1|none~2|"
    assert count(dead, "Conv") == 7


def test_a_node_without_operations_is_what_the_node_before_it_is():
    kept = "|nor_conv_1x1~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|"
    assert count(kept, "Conv") == 7 + 15


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("|skip_connect~0|", "has 4 nodes"),
        (SKIPS.replace("none~1", "sepconv~1"), "no operation"),
        (SKIPS.replace("skip_connect~0|+", "skip_connect~1|+"), "no operation"),
        (SKIPS.replace("none~1", "none~\u00b9"), "no operation"),
        (SKIPS.replace("none~1", f"none~{'1' * 5_000}"), "no operation"),
        ("", "no operation"),
    ],
)
def test_what_is_no_cell_is_refused(cell: str, message: str):
    with pytest.raises(ModelError, match=message):
        parse_cell(cell)


def test_a_cell_without_a_way_through_is_no_network():
    with pytest.raises(ModelError, match="depends on nothing"):
        nasbench201_nodes("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", 16, 5, 10)
