"""One form for networks that exporters write differently: what the rule sets of all mobile devices begin with.

Models reach a phone through a converter, which writes a convolution with its bias, normalization and padding as one
operator. The rules bring an ONNX model to that form; where the form is only a way to write the same work, they say so.
"""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Procedure, Rewrite, RuleSet, Stage
from nnmeter.fusion.rulesets.mobile import (
    activations,
    convolutions,
    integers,
    no_ops,
    padding,
    pools_and_views,
    products,
)
from nnmeter.fusion.rulesets.mobile.sources import ONE_FORM, converter
from nnmeter.fusion.rulesets.shared import RANDOM

DRAWING = (*RANDOM, "Multinomial", "Bernoulli", "Dropout")  # Dropout goes elsewhere, but in training mode

WORK_BEFORE_THE_RUN = Procedure(
    "work before the run",
    "fold_constants",
    fields={"of_shapes": ("Shape", "Size"), "except": DRAWING},
    why="What depends on constants and static shapes only is computed by the converter, unless it is drawn anew in "
    "every run.",
    source=converter("optimize.cc"),
)

PIECES = Procedure(
    "slices that cut a tensor to pieces",
    "split_slices",
    only_with=["Slice"],
    fields={"slices": ("Slice",), "gathers": (), "split": "Split", "squeeze": "Squeeze", "opset": 13},
    why="Exporters of PyTorch write a split as slices; both cut a tensor to all its pieces.",
    source=ONE_FORM,
)

WINDOWS_AND_OPERANDS = Procedure(
    "windows and operands",
    "plain_attributes",
    fields={
        "windows": ("Conv", "MaxPool", "AveragePool"),
        "same_padding": True,
        "drop": {
            "MaxPool": ("storage_order",),
            "AveragePool": ("count_include_pad",),
            "Split": ("num_outputs", "split"),
            "Reshape": ("allowzero",),
            "Gemm": ("alpha", "beta"),
        },
        "sorted_inputs": ("Add", "Mul", "Max", "Min"),
        "data_inputs": {"Reshape": 1, "Split": 1},
        "bounds": ("Clip",),
        "axes": ("Concat", "Split", "Softmax"),
    },
    why="Equal work gets equal attributes, whichever exporter wrote it: padding by its effect, axes from the front.",
    source=ONE_FORM,
)

RULE_SET = RuleSet(
    "plain-network",
    runtime="any",
    parameters={"one_global_pool": True, "free_views": True},
    stages=[
        Stage(
            "one form for what exporters write differently",
            [
                integers.OPERATORS_OF_INTEGERS,
                WORK_BEFORE_THE_RUN,
                no_ops.NO_OPS,
                activations.ACTIVATIONS,
                products.PRODUCTS,
                padding.PADDING,
                convolutions.NORMALIZATIONS_AND_BIASES,
                pools_and_views.POOLS_VIEWS_AND_SUMS,
                PIECES,
            ],
            repeat=8,
        ),
        Stage(
            "plain attributes",
            [Rewrite("a bias for every convolution", convolutions.BIAS_FOR_EVERY_CONVOLUTION), WINDOWS_AND_OPERANDS],
        ),
        Stage("integers", [integers.GROUPS_IN_INTEGERS]),
    ],
)
