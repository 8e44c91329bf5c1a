"""Reductions in the form that the plugin runs: axes as an attribute, from the front."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Op, Rewrite, Rule, indices, tensors
from nnmeter.fusion.rulesets.openvino.sources import frontend, plugin

REDUCTIONS = ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2")
SOURCE = plugin("nodes/reduce.cpp")


def _global_average() -> Rule:
    (x,) = tensors("x")
    node = Op("GlobalAveragePool", x)
    return Rule(
        "global average",
        [node],
        replace=Create("ReduceMean", x, attributes=node.attributes(axes=indices(x.rank)[2:]), into=node),
        why="A global average is the mean of all dimensions behind the channels.",
        source=frontend("global_average_pool.cpp"),
    )


def _axes_given() -> Rule:
    x, axes = tensors("x axes")
    node = Op(REDUCTIONS, x, axes, name="node")
    attributes = node.attributes(drop=["keepdims"], axes=axes.value.as_places(x.rank))
    return Rule(
        "reduction with axes given",
        [node],
        where=[axes.is_known],
        replace=Create(node.kind, x, attributes=attributes, into=node),
        why="The axes of a reduction are a setting, not data.",
        source=SOURCE,
    )


def _axes_of_attribute() -> Rule:
    (x,) = tensors("x")
    node = Op(REDUCTIONS, x, name="node")
    axes = node.attr("axes", indices(x.rank)).as_places(x.rank)
    return Rule(
        "reduction",
        [node],
        replace=Create(
            node.kind, x, attributes=node.attributes(drop=["keepdims", "noop_with_empty_axes"], axes=axes), into=node
        ),
        why="The axes of a reduction are a setting, all of them where none are given.",
        source=SOURCE,
    )


REDUCTIONS_WITH_AXES = Rewrite("reductions", [_global_average(), _axes_given(), _axes_of_attribute()])
