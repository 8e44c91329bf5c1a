"""What operators take that ONNX Runtime runs element by element, on one core of a usual server.

Bytes and operations tell next to nothing of such a loop: a remainder takes as long as ten sums, and a map that sorts as
long as a hundred. The generic price of a kernel that training did not have knows bytes and operations alone, so that it
is a tenth of the measured one, or ten times that; what is told here takes its place.

Rules:
1. `LOOPS` has nanoseconds by operator, as a rule like those of FLOPs (`nnmeter.operators.loop_rules`). Where data
   decide how much is done, it is what usual data take; `nnmeter.operators.worst` has the worst.
2. All were measured with ONNX Runtime 1.32 and one thread of a Zen 3 and of a Zen 4 server, and lie between the two
   (`benchmarks/fallback_operators.py`). Of three pools of int8 in a network on Zen 4 it says 0.40, 0.10 and 0.05 ms;
   they took 0.47, 0.11 and 0.06.
3. What holds of some element types only says so; nothing is told of the others, nor of what bytes price well.
4. A broadcast that is walked element by element (`nnmeter.operators.broadcasts`) takes at least what that tells.
5. Words are objects: whatever moves them copies each, at `_COPIED_NS`, or at `_ASSIGNED_NS` one by one.
"""

from __future__ import annotations

from collections.abc import Sequence

from nnmeter.graph.ir import TensorType
from nnmeter.operators.broadcasts import BROADCASTING, by_element_ns
from nnmeter.operators.flops import (
    EINSUM,
    MATMUL,
    Attributes,
    FlopRule,
    Types,
    in_training,
    out_elements,
    per_input,
    per_output,
    sorted_at,
)  # fmt: skip
from nnmeter.operators.flops_signal import FOURIER, SHORT_FOURIER
from nnmeter.operators.loop_rules import (
    CAST,
    DEFORMED,
    GRID,
    INDEXED_ROWS,
    LARGEST,
    MOVED,
    NOTED_FLOPS,
    ONE_HOT,
    REGIONS,
    RESIZED,
    RUNNING,
    SELECTION,
    STRIDED,
    TAKEN_PARTS,
    TAKEN_ROWS,
    WINDOWS,
    along,
    but_types,
    by_kind,
    each,
    elimination,
    of_types,
    scaled,
)  # fmt: skip
from nnmeter.operators.loops_einsum import EINSUM_LOOPS
from nnmeter.operators.table import KNOWN_DOMAINS


def loop_ns(op_type: str, domain: str, attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    """Nanoseconds that an operator takes that is run element by element; 0 where nothing is told (rules 1 and 3)."""
    if domain not in KNOWN_DOMAINS:
        return 0.0
    if op_type in WORDS_MOVED and any(t is not None and t.dtype == "string" for t in inputs):
        return (_ASSIGNED_NS if op_type in _ASSIGNED else _COPIED_NS) * out_elements(outputs)
    rule = LOOPS.get(op_type)
    told = 0.0 if rule is None else rule.evaluate(attributes, inputs, outputs)
    return max(told, by_element_ns(op_type, inputs, outputs))


def is_told(op_type: str) -> bool:
    """Whether anything is told of an operator, of some element type."""
    return op_type in LOOPS or op_type in WORDS_MOVED or op_type in BROADCASTING


_COPIED_NS, _ASSIGNED_NS = 55.0, 130.0  # of 30 to 70, and of 75 to 215
_ASSIGNED = frozenset("GatherElements ScatterElements ScatterND Scatter ReverseSequence Where".split())
_INTEGERS = ("int64", "int32", "uint64", "uint32", "int16", "uint16", "int8", "uint8", "bool")

WORDS_MOVED = frozenset(
    "Concat Slice Tile Expand Gather GatherElements GatherND ScatterElements ScatterND Scatter Transpose Where Pad "
    "ReverseSequence Split Compress SplitToSequence ConcatFromSequence".split()
)

_TRANSCENDENTAL = "Exp Log Tanh Softplus Elu Softmax LogSoftmax"

LOOPS: dict[str, FlopRule] = {
    # Numbers, one by one.
    **dict.fromkeys(("Sin", "Cos", "Sigmoid"), each(float64=10)),
    **{name: each(float64=5) for name in _TRANSCENDENTAL.split()},
    "Tan": each(14, float64=10),
    "Sinh": each(20),
    "Cosh": each(12),
    "Asinh": each(25),
    "Acosh": each(19),
    "Atanh": each(25),
    **dict.fromkeys(("Acos", "Asin", "Atan"), each(1.2)),
    **dict.fromkeys(("Selu", "Celu"), each(2.8, float64=5)),
    "Shrink": each(1, float32=7, float64=7, float16=2.6),
    "Sign": each(float32=1.3, float64=0.7),
    "Sqrt": each(float64=1.5),
    "Round": each(float16=8),
    "Clip": each(float16=1.4),
    "PRelu": each(float64=8),
    "Mod": each(4.5, float32=6, float64=6),
    "Div": each(int64=2.5, int32=1.6, uint64=2.5, uint32=1.6),
    "Pow": each(8, int64=14, int32=9, float64=11),  # an exponent for each; one for all was sampled
    "BitShift": per_output(0.5),
    "Cast": CAST,
    "Where": per_output(8),  # what was not sampled: bytes, halves, float64
    "Imputer": per_input(0.7),
    "Binarizer": per_input(4),
    "Scaler": per_input(3),
    # Numbers that are drawn.
    **dict.fromkeys(("RandomUniform", "RandomUniformLike"), per_output(4.5)),
    **dict.fromkeys(("RandomNormal", "RandomNormalLike"), per_output(11)),
    "Dropout": in_training("5 ns an element", 5),
    "Multinomial": per_input(6),
    # Along axes.
    "CumSum": RUNNING,
    "CumProd": RUNNING,
    **dict.fromkeys(("ReduceMax", "ReduceMin"), of_types(along(0.25, 0.45, wide=1.2), *_INTEGERS)),
    "ReduceSum": of_types(along(0.9, 1.6, wide=2.5), *_INTEGERS),
    "ReduceMean": of_types(along(0.9, 1.6, wide=1.8), *_INTEGERS),
    "ReduceProd": along(0.9, 1.6, whole=0.25),
    **dict.fromkeys(("ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum"), along(0.9, 1.6, wide=2.5, whole=0.25)),
    "ReduceLogSumExp": by_kind(along(6, 8), along(0.7, 3)),
    **dict.fromkeys(("ArgMax", "ArgMin"), along(0.9, 2, axis=0)),
    "MeanVarianceNormalization": per_input(1.2),
    "LpNormalization": along(1.2, 5),
    "Normalizer": per_input(6),
    "LayerNormalization": of_types(per_input(7), "float64"),
    # Windows and samples.
    "MaxPool": but_types(scaled(2, WINDOWS), "float32"),
    "LpPool": scaled(24, WINDOWS),
    "GlobalLpPool": per_input(24),
    "MaxRoiPool": per_output(8),
    "RoiAlign": REGIONS,
    "CropAndResize": per_output(6),
    "GridSample": GRID,
    "DeformConv": DEFORMED,
    "Resize": RESIZED,
    "UnfoldTensor": per_output(6.5),
    # Sorting and selecting.
    "NonMaxSuppression": SELECTION,
    "Unique": sorted_at("5 ns a comparison", 5),
    "NonZero": per_input(6),
    "TopK": LARGEST,
    "Compress": per_input(3),
    # Elements that are moved.
    "Gather": TAKEN_ROWS,
    "GatherND": TAKEN_PARTS,
    "GatherElements": per_output(1.8),
    **dict.fromkeys(("ScatterElements", "Scatter"), per_input(6, 1)),
    "ScatterND": INDEXED_ROWS,
    "OneHot": ONE_HOT,
    "EyeLike": per_output(0.1),
    "Slice": STRIDED,
    "Transpose": MOVED,
    "DepthToSpace": but_types(per_output(1.2), "float32"),
    "FeatureVectorizer": per_output(0.9),
    # Matrices.
    "MatMul": of_types(scaled(0.15, MATMUL), *_INTEGERS),
    "MatMulInteger": of_types(scaled(0.033, MATMUL), "int8"),
    "Einsum": by_kind(EINSUM_LOOPS, scaled(0.15, EINSUM)),
    "Det": elimination(120, 3, 0.035),
    "Inverse": elimination(320, 6, 0.12),
    # Signals.
    "DFT": scaled(0.3, FOURIER),
    "STFT": scaled(0.3, SHORT_FOURIER),
    # Words and classical models.
    **dict.fromkeys(("StringConcat", "StringSplit"), per_input(150)),
    **dict.fromkeys(("RegexFullMatch", "StringNormalizer", "Tokenizer"), per_input(110)),
    "MurmurHash3": each(4.2, string=46),
    "LabelEncoder": each(2, string=76),
    "TfIdfVectorizer": scaled(0.8, NOTED_FLOPS),
    **dict.fromkeys(("TreeEnsemble", "TreeEnsembleRegressor", "TreeEnsembleClassifier"), scaled(1.3, NOTED_FLOPS)),
    **dict.fromkeys(("SVMClassifier", "SVMRegressor"), scaled(0.3, NOTED_FLOPS)),
}  # fmt: skip
