"""The rule set for MNN on CPUs: what its converter fuses, and what its runtime moves.

`RULE_SET` below is the one place that lists its passes.
"""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Procedure, RuleSet, Stage
from nnmeter.fusion.rulesets.mnn import activations, no_ops, normalizations, products
from nnmeter.fusion.rulesets.mnn.sources import VERSION, after, geometry
from nnmeter.fusion.rulesets.shared import VIEWS
from nnmeter.kernels.moving import MOVING

_UNARY = (
    *(
        "Relu",
        "mnn.Clip",
        "LeakyRelu",
        "Sigmoid",
        "Tanh",
        "Clip",
        "Elu",
        "Selu",
        "Abs",
        "Neg",
        "Floor",
        "Ceil",
        "Round",
    ),
    *("Sqrt", "Exp", "Log", "Erf", "Sin", "Cos", "Reciprocal", "Sign", "Gelu", "Swish", "HardSwish", "Softplus"),
    *("HardSigmoid", "Cast", "Acos", "Asin", "Atan", "Tan", "Cosh", "Sinh", "Acosh", "Asinh", "Atanh", "Mish"),
)
_BINARY = (
    *("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Mod", "Equal", "Greater", "Less", "GreaterOrEqual"),
    *("LessOrEqual", "And", "Or", "Xor", "Sum"),
)

REGIONS = Procedure(
    "regions",
    "regions",
    fields={
        "blocked": (
            *("Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Resize"),
            *("LRN", "BatchNormalization", "InstanceNormalization", "GridSample"),
        ),
        "products": ("Gemm",),
        "following": (
            *_UNARY,
            *("Transpose", "Slice", "Pad", "DepthToSpace", "SpaceToDepth", "Tile", "Expand", *VIEWS),
        ),
        "joining": ("Concat", "Split", *_BINARY),
        "moving": MOVING,
        "gathers": ("Gather",),
        "grouped": ("Conv",),
        "passing": _UNARY,
        "decomposed": ("PRelu",),
    },
    why="Operators that only move data are regions of memory until another operator reads them; convolutions and pools "
    "work on blocks of channels, and data is reordered where readers want another layout.",
    source=f"{geometry('GeometryComputer.cpp')}; {after('AddTensorFormatConverter.cpp')}",
)

NAMES = Procedure(
    "names",
    "settings",
    fields={"data_inputs": {}, "names": {"mnn.Clip": "Clip"}, "axes": (), "dropped": ()},
    why="Kernels have the names of ONNX's operators, so that costs and features apply.",
    source="no step of the runtime: how nnmeter names what it runs",
)

RULE_SET = RuleSet(
    "mnn-cpu",
    runtime="mnn",
    runtime_version=VERSION,
    device={"place": "server", "kind": "cpu", "distributions": ("MNN",), "extra": "mnn"},
    stages=[
        Stage(
            "converter",
            [
                no_ops.CONSTANT_FOLDING,
                no_ops.NO_OPS,
                activations.ACTIVATIONS,
                normalizations.NORMALIZATIONS,
                products.PRODUCTS,
            ],
            repeat=6,
        ),
        Stage("inside", [products.BIASES, activations.BOUNDS, activations.INSIDE]),
        Stage("moving", [REGIONS, NAMES]),
    ],
)
