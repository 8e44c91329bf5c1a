"""Kernels that few networks have and some models spend their time on: that the recipes draw them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from itertools import islice

import pytest

from nnmeter.binding.bind import bind_shapes
from nnmeter.formats import read_model
from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.loading import load_rules
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.lab.campaign.recipes import random_network
from nnmeter.lab.campaign.recipes.builder import Budget, Exporter, NetworkBuilder
from nnmeter.lab.campaign.recipes.recurrent import recurrent_layer
from nnmeter.lab.campaign.recipes.sweeps import elements, fused, windows
from nnmeter.lab.campaign.recipes.sweeps.source import Source

pytest.importorskip("onnxruntime")

RULES = load_rules("onnxruntime_cpu")
DRAWS = 40

Wanted = Callable[[KernelSignature], bool]


def shape_of(kernel: KernelSignature, position: int) -> tuple[int, ...]:
    """Shape of an input; none where it has none."""
    value = kernel.inputs[position] if position < len(kernel.inputs) else None
    return value.shape if value is not None else ()


def kernels_of(family: str) -> Iterator[KernelSignature]:
    for seed in range(DRAWS):
        for kernel in detect_kernels(bind_shapes(read_model(random_network(seed, family))), RULES):
            yield kernel.signature


def swept(case: Callable[[Source], None], draws: int = 200) -> Iterator[KernelSignature]:
    for first in range(0, draws, 20):
        b = NetworkBuilder(random.Random(first), Exporter(20), Budget())
        for _ in range(20):
            case(Source(b))
        for kernel in detect_kernels(bind_shapes(read_model(b.finish("sweep"))), RULES):
            yield kernel.signature


def is_convolution(kernel: KernelSignature) -> bool:
    return kernel.op_type == "Conv" and kernel.attribute("group", 1) == 1


def is_blocked_line(kernel: KernelSignature) -> bool:
    """A convolution of blocked channels over a map of one row or column, by a window of several of it."""
    space, window = shape_of(kernel, 0)[2:], shape_of(kernel, 1)[2:]
    return kernel.type.startswith("nchwc.Conv") and min(space) == 1 < max(window)


def is_long_window(kernel: KernelSignature) -> bool:
    window = shape_of(kernel, 1)[2:]
    return is_convolution(kernel) and len(window) == 2 and max(window) >= 9 > min(window)


def has_few_outputs(kernel: KernelSignature) -> bool:
    weight = shape_of(kernel, 1)
    return is_convolution(kernel) and len(weight) == 4 and weight[0] <= 4 and math.prod(weight[1:]) > 32


def is_back_along_frequency(kernel: KernelSignature) -> bool:
    return kernel.op_type == "ConvTranspose" and kernel.attribute("strides") == (1, 2)


def is_of_frames(kernel: KernelSignature) -> bool:
    """A convolution along short lines in a large batch."""
    x = shape_of(kernel, 0)
    return is_convolution(kernel) and len(x) == 3 and x[0] >= 16 and x[2] <= 12 and x[1] > 1


def is_by_element(kernel: KernelSignature) -> bool:
    """A constant of one element on a tensor whose last axis is 1."""
    x, y = shape_of(kernel, 0), shape_of(kernel, 1)
    return kernel.op_type in ("Add", "Mul") and len(x) > 1 == x[-1] and math.prod(x) > 1000 and y in ((), (1,))


def is_wide_quantized_lstm(kernel: KernelSignature) -> bool:
    return kernel.op_type == "DynamicQuantizeLSTM" and int(str(kernel.attribute("hidden_size", 0))) >= 512


def is_single_step(kernel: KernelSignature) -> bool:
    """One step of a layer whose state is given."""
    return kernel.op_type in ("LSTM", "GRU") and shape_of(kernel, 0)[0] == 1 and shape_of(kernel, 5) != ()


def is_unsigned_convolution(kernel: KernelSignature) -> bool:
    x, weight = shape_of(kernel, 0), shape_of(kernel, 1)
    unsigned = kernel.op_type == "ConvInteger" and kernel.inputs[1] is not None and kernel.inputs[1].dtype == "uint8"
    return unsigned and len(x) == 4 and x[2] != x[3] and weight[0] >= 96 and weight[2:] == (3, 3)


def is_factor_on_a_map(kernel: KernelSignature) -> bool:
    """A learnt number of shape [1] on a map of a megabyte or more."""
    x = max((shape_of(kernel, i) for i in (0, 1)), key=math.prod)
    least = min((shape_of(kernel, i) for i in (0, 1)), key=math.prod)
    return kernel.op_type in ("Add", "Mul") and len(x) == 4 and math.prod(x) >= 250_000 and least == (1,)


@pytest.mark.parametrize(
    ("family", "wanted"),
    [
        ("characters", is_blocked_line),
        ("time_frequency", is_long_window),
        ("time_frequency", has_few_outputs),
        ("time_frequency", is_by_element),
        ("time_frequency", is_back_along_frequency),
        ("speech", is_of_frames),
        ("speech", is_single_step),
        ("recurrent", is_single_step),
        ("quantized_dynamic", is_wide_quantized_lstm),
        ("quantized_dynamic_maps", is_unsigned_convolution),
        ("text_lines", is_factor_on_a_map),
    ],
)
def test_a_recipe_draws_them(family: str, wanted: Wanted) -> None:
    assert list(islice(filter(wanted, kernels_of(family)), 3))


@pytest.mark.parametrize(
    ("case", "wanted"),
    [
        (windows.convolution, is_blocked_line),
        (windows.convolution, is_long_window),
        (windows.convolution, is_of_frames),
        (elements.arithmetic, is_by_element),
        (fused.quantized_recurrent, is_wide_quantized_lstm),
    ],
)
def test_a_sweep_reaches_them(case: Callable[[Source], None], wanted: Wanted) -> None:
    assert any(map(wanted, swept(case)))


@pytest.mark.parametrize(("kind", "states"), [("LSTM", 2), ("GRU", 1), ("RNN", 1)])
def test_a_state_that_is_given_is_an_input_and_comes_out_again(kind: str, states: int) -> None:
    b = NetworkBuilder(random.Random(0), Exporter(), Budget())
    recurrent_layer(b, b.input((1, 4, 8)), kind, 16, 1, given=True)
    model = b.finish("cell")
    assert len(model.graph.input) == 1 + states
    assert [len(value.type.tensor_type.shape.dim) for value in model.graph.output] == [3] * (1 + states)
