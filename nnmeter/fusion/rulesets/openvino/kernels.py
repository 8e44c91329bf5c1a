"""How operators become kernels: what runs in one loop or behind a product, in which layout, and what costs nothing."""

from __future__ import annotations

from typing import Any

from nnmeter.fusion.rulesets.builder import Procedure
from nnmeter.fusion.rulesets.openvino.reductions import REDUCTIONS
from nnmeter.fusion.rulesets.openvino.shared import CONVOLUTIONS, ELEMENT_WISE, RETYPE, ZERO_POINT
from nnmeter.fusion.rulesets.openvino.sources import common, plugin
from nnmeter.fusion.rulesets.shared import VIEWS
from nnmeter.fusion.rulesets.shared_rules import constant_folding

SNIPPETS = "src/common/snippets/src/pass"

CONSTANT_FOLDING = constant_folding("src/core/src/pass/constant_folding.cpp")

SLICES_TO_SPLIT = Procedure(
    "slices to Split",
    "split_slices",
    fields={
        "slices": ("Slice",),
        "gathers": (),
        "split": "Split",
        "squeeze": "Squeeze",
        "opset": 1,
        "of_pieces": True,
    },
    why="Slices that together cut a tensor to all its pieces become one Split, pieces of pieces too.",
    source=common("optimize_strided_slice.cpp"),
)

CONCATS_OF_CONCATS = Procedure(
    "concatenations of concatenations",
    "merge_concats",
    fields={"operators": ("Concat",)},
    why="A concatenation whose result alone another one along the same axis reads becomes part of it.",
    source=common("concat_fusion.cpp"),
)

SHARED_BIASES = Procedure(
    "biases of several convolutions",
    "shared_biases",
    fields={"operators": CONVOLUTIONS, "sum": "Add", "marked": "shared"},
    why="A bias that several convolutions read is not fused into any of them and is added behind each.",
    source=plugin("graph_optimizer.cpp"),
)

# How numbers are made of integers: what stands between products that compute in single precision.
OF_INTEGERS = ("DequantizeLinear", ZERO_POINT)

ATTENTION = Procedure(
    "attention",
    "group_attention",
    fields={
        "product": "MatMul",
        "softmax": "Softmax",
        "transpose": "Transpose",
        "reshape": "Reshape",
        "becomes": "Attention",
        "between": tuple(kind for kind in ELEMENT_WISE if kind not in OF_INTEGERS),
        "ranks": (2, 3, 4),
        "transpose_ranks": (4,),
        "most_tensors": 5,
        "apart": "apart",
        "integers": "attention_of_integers",
    },
    why="Two products with a softmax between them are compiled into one kernel, those of integers where the processor "
    "has instructions for such products.",
    source=f"{SNIPPETS}/mha_tokenization.cpp",
)


def _anchors() -> dict[str, Any]:
    """What takes over the element-wise operators behind it: the axis of its channels, and what it takes."""
    scalars = {"axis": 1, "scales": "scalars"}
    reductions = (*REDUCTIONS, "ReduceSumSquare", "ReduceLogSum", "GlobalAveragePool")
    return {
        "Conv": {"axis": 1, "sums": True},
        "ConvTranspose": {"axis": 1},
        "Gemm": {"axis": -1},
        "MatMul": {"axis": -1},
        "MVN": scalars,
        "LpNormalization": {"axis": 1},
        "Resize": {"axis": 1},
        **dict.fromkeys(reductions, scalars),
    }


POST_OPERATORS = Procedure(
    "operators behind products",
    "post_operators",
    fields={
        "anchors": _anchors(),
        "activations": (
            *("Relu", "LeakyRelu", "PRelu", "Elu", "Sigmoid", "HardSigmoid", "Clip", "Swish", "HardSwish", "Mish"),
            *("Round", "Tanh", "Gelu", "Abs", "Sqrt", "QuantizeLinear"),
            "DequantizeLinear",
        ),
        "of_numbers": ("DequantizeLinear",),
        "scales": ("Add", "Mul", "Sub", "Div"),
        "sum": "Add",
        "before_sums": ("QuantizeLinear", "QuantizeLinear+QuantizeLinear"),
        "pools": ("MaxPool",),
        "apart": "apart",
        "shared": "shared",
    },
    why="Activations, scales and, behind convolutions, a residual sum run on the results of a product while they are "
    "in registers.",
    source=plugin("graph_optimizer.cpp"),
)

RESIDUALS = Procedure(
    "residuals of integers",
    "retyped_residuals",
    only_with=["QuantizeLinear"],
    fields={"operators": ("Conv",), "retype": RETYPE, "unless": "residuals_of_another_type"},
    why="Without AMX, a convolution adds what has the type of its result: integers are made numbers before it.",
    source=plugin("nodes/conv.cpp"),
)

SMALL_PRODUCTS = Procedure(
    "small products",
    "chain_products",
    fields={"operator": "Gemm", "rank": 2, "width": 256, "most_tensors": 6},
    why="Small fully connected layers, one behind the other, are compiled into one kernel.",
    source=f"{SNIPPETS}/mlp_seq_tokenization.cpp",
)

# Operators of one element at a time that are in no loop, and run one behind another.
NOT_IN_LOOPS = (
    *("IsNaN", "IsInf", "HardSigmoid", "RefHardSigmoid", "Mish", "Softplus", "Log", "Sin", "Cos", "Selu", "Softsign"),
    *("Sign", "BitShift", "Acos", "Asin", "Atan"),
)

ELEMENT_WISE_LOOPS = Procedure(
    "element-wise loops",
    "group_elementwise",
    fields={
        "operators": ELEMENT_WISE,
        "dtypes": ("float32", "uint8", "int8"),
        "most_tensors": 8,
        "apart": "apart",
        "chained": NOT_IN_LOOPS,
        "alone": ("Cast",),
        "shift": {ZERO_POINT: "Sub"},
    },
    why="Element-wise operators that are in no product are compiled into loops of several.",
    source=f"{SNIPPETS}/collapse_subgraph.cpp",
)

CHANNELS_LAST = Procedure(
    "channels last",
    "memory_layout",
    fields={
        "channels_last": CONVOLUTIONS,
        "following": (
            *("MaxPool", "AveragePool", "GlobalMaxPool"),
            *REDUCTIONS,
            *("Concat", "Split", "Slice", "Pad", "Transpose", "ShuffleChannels", "DepthToSpace", "SpaceToDepth"),
            *("Resize", "Softmax", "Expand", "LpNormalization"),
            *ELEMENT_WISE,
            *("IsNaN", "HardSigmoid", "Mish", "Softplus", "GlobalAveragePool", "LRN", RETYPE),
        ),
        "views": VIEWS,
        "view": "Reshape",
        "transpose": "Transpose",
        "to_last": "ReorderInput",
        "to_first": "ReorderOutput",
        "retype": RETYPE,
        "ranks": (3, 4, 5),
        "transpose_ranks": (4, 5),
        "splits": ("Split",),
        "joins": ("Concat",),
        "moves": "moves",
        "in_place_sums": ("Conv",),
        "of_one_rank": ELEMENT_WISE,
        "last_behind_retype": ("Cast",),
        "first_behind_retype": (*REDUCTIONS, "GlobalAveragePool"),
    },
    why="Convolutions read and write channels last, many operators work in the order that their inputs have, and data "
    "is reordered where readers want another one.",
    source=plugin("graph.cpp"),
)

IN_PLACE = Procedure(
    "work in place",
    "in_place",
    fields={
        "views": VIEWS,
        "concats": ("Concat",),
        "splits": ("Split",),
        "gathers": ("Gather",),
        "overwriting": (*ELEMENT_WISE, *NOT_IN_LOOPS, "Attention", "MVN"),
        "copied_after": ("RotaryEmbedding", "Softmax"),
        "sums": ("Conv",),
        "copy": "ReorderInput",
        "moved": ("layout", "moves"),
    },
    why="Views, and splits and concatenations of what lies in one piece, cost nothing; where an operator would write "
    "over what others read, its input is copied.",
    source=plugin("graph.cpp"),
)

NAMES = Procedure(
    "names",
    "settings",
    fields={
        "data_inputs": {
            **dict.fromkeys(("Split", "Slice", "Resize", "Expand", "Pad", "Tile"), 1),
            "Gather": 2,
            **dict.fromkeys(("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "Softmax", "Transpose"), 1),
        },
        "names": {"MVN": "LayerNormalization", "RefHardSigmoid": "HardSigmoid", RETYPE: "ReorderInput"},
        "axes": ("Concat", "Split", "Softmax", "Gather", "MVN"),
        "dropped": ("to", "num_outputs", "keepdims", "noop_with_empty_axes"),
    },
    why="Settings are no data, and kernels have the names of ONNX's operators, so that costs and features apply.",
    source="no step of the runtime: how nnmeter names what it runs",
)
