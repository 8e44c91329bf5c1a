"""The catalogue and its models."""

from __future__ import annotations

import onnx
import pytest

from nnmeter.binding.bind import bind_shapes
from nnmeter.formats import read_model
from nnmeter.lab.discovery.bench import models_of
from nnmeter.lab.discovery.catalogue import SIZES, TESTS, operators_of
from nnmeter.lab.discovery.models import build_model


def _build(key, size=0):
    return build_model(key.domain, operators_of(key.operators, key.domain), SIZES[size], key.alone)


def test_names_are_unique():
    names = [test.name for test in TESTS]
    assert len(set(names)) == len(names) > 100


@pytest.mark.parametrize("size", range(len(SIZES)))
def test_every_model_is_valid_at_every_size(size):
    keys = {key for test in TESTS for key in models_of(test).values()}
    for key in sorted(keys):
        model = _build(key, size)
        onnx.checker.check_model(model)
        graph = bind_shapes(read_model(model))  # every shape can be inferred
        assert len(graph.outputs) == SIZES[size]["N"]


def test_the_head_hands_on_what_the_tail_alone_is_given():
    """Shapes of the tail's operators are the same alone as behind the head."""
    for test in TESTS:
        models = models_of(test)
        joined, tail = (bind_shapes(read_model(_build(models[role]))) for role in ("joined", "tail"))
        shapes = [[graph.types[name].shape for name in graph.outputs] for graph in (joined, tail)]
        sizes = [sorted(shape[0]) for shape in shapes]
        assert sizes[0] == sizes[1], test.name


def test_branches_share_nothing():
    test = next(t for t in TESTS if t.name.startswith("Conv > Relu"))
    model = _build(models_of(test)["joined"])
    weights = [name for node in model.graph.node for name in node.input if name.startswith("w")]
    assert len(weights) == len(set(weights)) == 2 * SIZES[0]["N"]  # one in the prelude, one in the convolution


def test_origin_is_what_the_head_reads():
    test = next(t for t in TESTS if t.name == "Sigmoid > Mul origin [tokens]")
    models = models_of(test)
    joined = _build(models["joined"])
    writers = {name: node for node in joined.graph.node for name in node.output}
    product = writers[joined.graph.output[0].name]
    assert writers[product.input[0]].input[0] == product.input[1]
    alone = _build(models["tail"]).graph.node[-1]
    assert alone.input[0] != alone.input[1]  # a square would be another operator
