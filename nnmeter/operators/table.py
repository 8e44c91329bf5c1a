"""The table of operators: FLOPs, what is read, kernel family and source of each.

Rules:
1. Every operator of ai.onnx and ai.onnx.ml, of any version, is here, and every one of com.microsoft (onnx and
   onnxruntime list theirs; tests/operators/test_table.py compares). An operator of one name has one entry, whatever its
   domain; where two domains mean different things by it, the rule tells them apart.
2. `family` says which kernels share one trained function (`nnmeter.kernels.features`); `generic` is chosen where no
   family runs the same kind of loop: sorting, control flow, text, classical models, signal processing.
3. `reads` is "all" inputs, only what is "taken" of the first (and all others), of the weights of experts those that are
   "chosen", of matrices with a repeated label the "diagonals", the "shape" alone, or "nothing", for an operator that
   only gives a tensor another name or shape, and costs nothing.
4. `source` is where the operator is defined that the rule counts; rules count arithmetic of that definition.
5. Where the data decide how much is computed, `worst_ns` says what the worst data would take on one core of a usual
   server, in nanoseconds: measured with ONNX Runtime 1.32 on an Ice Lake Xeon. An interval reaches as far. So it does
   for random numbers, one after the other from a generator with a state, which no count of operations tells.
6. An operator that cannot be priced has a reason in `REFUSED`, and a model with it is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from nnmeter.operators import classical, flops, flops_attention, flops_signal
from nnmeter.operators.flops import RANDOM_NUMBER, FlopRule, per_input, per_output

GENERIC = "generic"

Reads = Literal["all", "taken", "chosen", "diagonals", "shape", "nothing"]

ONNX = "onnx.defs (operator documentation)"
ML = "onnx.defs of ai.onnx.ml"
ORT = "onnxruntime/core/graph/contrib_ops (schemas, 1.32)"
NCHWC = "onnxruntime/core/graph/contrib_ops/nchwc_schema_defs.cc"
BOTH = f"{ONNX}; {ORT}"


@dataclass(frozen=True, slots=True)
class Operator:
    """What is known of one operator; see the rules above."""

    flops: FlopRule
    family: str
    source: str
    reads: Reads = "all"
    worst_ns: FlopRule | None = None


class _Group(NamedTuple):
    """Operators that share a rule, a family and a source; their names are in one text."""

    names: str
    flops: FlopRule
    family: str
    source: str
    reads: Reads = "all"


_GROUPS: tuple[_Group, ...] = (
    # Nothing is computed, nothing moves.
    _Group("Reshape Squeeze Unsqueeze Flatten Identity Shape Size Optional OptionalGetElement OptionalHasElement",
           per_output(0), "view", ONNX, "nothing"),
    _Group("ExpandDims BitmaskDropout", per_output(0), "view", ORT, "nothing"),
    _Group("Dropout", per_output(0), "elementwise", ONNX, "nothing"),
    _Group("Constant SequenceLength SequenceEmpty", per_output(0), GENERIC, ONNX, "nothing"),
    # Elements are moved.
    _Group("Gather GatherElements GatherND Slice Split SplitToSequence Compress CenterCropPad",
           per_output(0), "movement", ONNX, "taken"),
    _Group("Crop TorchEmbedding", per_output(0), "movement", ORT, "taken"),
    _Group("ArrayFeatureExtractor", per_output(0), "movement", ML, "taken"),
    _Group("SequenceAt", per_output(0), GENERIC, ONNX, "taken"),
    _Group("GatherBlockQuantized GatherPacked", per_output(2), "movement", ORT, "taken"),
    _Group("Concat Pad Scatter ScatterElements ScatterND Tile Expand OneHot ConcatFromSequence Trilu "
           "ConstantOfShape Col2Im TensorScatter", per_output(0), "movement", ONNX),
    _Group("QLinearConcat UnfoldTensor RemovePadding RestorePadding SampleOp ConvStateReplay", per_output(0),
           "movement", ORT),
    _Group("FeatureVectorizer OneHotEncoder", per_output(0), "movement", ML),
    _Group("Range", per_output(1), "movement", BOTH),
    _Group("EyeLike", per_output(0), "movement", ONNX, "shape"),
    _Group("RandomNormal RandomUniform Bernoulli", per_output(RANDOM_NUMBER), "movement", ONNX),
    _Group("RandomNormalLike RandomUniformLike", per_output(RANDOM_NUMBER), "movement", ONNX, "shape"),
    _Group("Transpose DepthToSpace SpaceToDepth ReverseSequence", per_output(0), "transpose", ONNX),
    _Group("ReorderInput ReorderOutput", per_output(0), "transpose", NCHWC),
    _Group("SequenceConstruct SequenceInsert SequenceErase", per_output(0), GENERIC, ONNX),
    # One result an element.
    _Group("Add Sub Mul Div Mod Equal Greater Less GreaterOrEqual LessOrEqual And Or Xor Not BitShift BitwiseAnd "
           "BitwiseOr BitwiseXor BitwiseNot Where Relu Neg Abs Sign Floor Ceil Round IsNaN IsInf Cast CastLike Sqrt "
           "Reciprocal BitCast", per_output(1), "elementwise", ONNX),
    _Group("BiasAdd MulInteger", per_output(1), "elementwise", ORT),
    _Group("Binarizer Imputer", per_output(1), "elementwise", ML),
    _Group("LeakyRelu PRelu Clip ThresholdedRelu Shrink HardSigmoid QuantizeLinear DequantizeLinear Softsign",
           per_output(2), "elementwise", ONNX),
    _Group("Rsqrt BiasDropout BitmaskBiasDropout GatedAdd QuantizeWithOrder DequantizeWithOrder DequantizeBFP",
           per_output(2), "elementwise", ORT),
    _Group("Scaler", per_output(2), "elementwise", ML),
    _Group("HardSwish RotaryEmbedding", per_output(3), "elementwise", BOTH),
    _Group("QLinearAdd QLinearMul QLinearLeakyRelu QLinearWhere MRotaryEmbedding ComplexMul ComplexMulConj",
           per_output(3), "elementwise", ORT),
    _Group("Exp Log Pow Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh Tanh Sigmoid Erf Elu Selu Celu Softplus",
           per_output(10), "elementwise", ONNX),
    _Group("QLinearSigmoid", per_output(10), "elementwise", ORT),
    _Group("Gelu Mish Swish", per_output(12), "elementwise", BOTH),
    _Group("FastGelu QuickGelu BiasGelu AddGelu BiasSplitGelu QOrderedGelu ScaledSiLU LinearAttentionGate",
           per_output(12), "elementwise", ORT),
    _Group("SwiGLU", per_output(15), "elementwise", BOTH),
    _Group("GemmaRotaryEmbedding", per_output(23), "elementwise", ORT),
    _Group("Min Max Sum Mean", flops.VARIADIC, "elementwise", ONNX),
    # Rows: reductions, normalizations, softmax.
    _Group("ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceLogSum ArgMax ArgMin CumSum CumProd",
           per_input(1), "reduction", ONNX),
    _Group("QLinearReduceMean ReduceSumInteger IsAllFinite", per_input(1), "reduction", ORT),
    _Group("ReduceL1 ReduceL2 ReduceSumSquare", per_input(2), "reduction", ONNX),
    _Group("ReduceLogSumExp", per_input(12), "reduction", ONNX),
    _Group("DynamicQuantizeLinear", per_input(4), "reduction", ONNX),
    _Group("QuantizeBFP", per_input(4), "reduction", ORT),
    _Group("HyperConnectionPreMix", per_input(2), "reduction", ORT),
    _Group("BatchNormalization", per_input(2), "normalization", ONNX),
    _Group("Normalizer", per_input(3), "normalization", ML),
    _Group("LpNormalization", per_input(4), "normalization", ONNX),
    _Group("RMSNormalization SimplifiedLayerNormalization BranchwiseRMSNorm", per_input(5), "normalization", BOTH),
    _Group("LayerNormalization InstanceNormalization GroupNormalization MeanVarianceNormalization", per_input(8),
           "normalization", ONNX),
    _Group("GroupNorm QOrderedLayerNormalization RMSNormRotary", per_input(8), "normalization", ORT),
    _Group("SkipLayerNormalization SkipSimplifiedLayerNormalization", per_output(9), "normalization", ORT),
    _Group("SkipGroupNorm", per_input(9), "normalization", ORT),
    _Group("EmbedLayerNormalization QEmbedLayerNormalization", per_output(10), "normalization", ORT, "taken"),
    _Group("GatedRMSNorm", per_output(17), "normalization", ORT),
    _Group("EngramGate", per_output(30), "normalization", ORT),
    _Group("LRN", per_input(20), "normalization", ONNX),
    _Group("Hardmax", per_input(2), "softmax", ONNX),
    _Group("Softmax", per_input(flops.SOFTMAX_FLOPS), "softmax", ONNX),
    _Group("QLinearSoftmax", per_input(flops.SOFTMAX_FLOPS), "softmax", ORT),
    _Group("LogSoftmax", per_input(14), "softmax", ONNX),
    _Group("BiasSoftmax", per_input(14), "softmax", ORT),
    # Windows.
    _Group("Conv", flops.convolution(1, 2, 3), "convolution", f"{ONNX}; {NCHWC}"),
    _Group("FusedConv NhwcFusedConv", flops.convolution(1, 2, 3), "convolution", ORT),
    _Group("NhwcConv", flops.convolution(1, 2), "convolution", ORT),
    _Group("ConvInteger", flops.convolution(1), "convolution", ONNX),
    _Group("QLinearConv", flops.convolution(3, 8), "convolution", BOTH),
    _Group("DeformConv", flops.convolution(1, 3), "convolution", ONNX),
    _Group("ConvTranspose", flops.transposed_convolution(), "convolution", ONNX),
    _Group("QLinearConvTranspose", flops.transposed_convolution(3, 8), "convolution", ORT),
    _Group("ConvTransposeWithDynamicPads", flops.transposed_convolution(1, 3), "convolution", ORT),
    _Group("CausalConvWithState VarlenCausalConvWithState", flops.CAUSAL_CONVOLUTION, GENERIC, BOTH),
    _Group("MaxPool AveragePool LpPool", flops.POOL, "pooling", ONNX),
    _Group("QLinearAveragePool NhwcMaxPool MaxpoolWithMask", flops.POOL, "pooling", ORT),
    _Group("GlobalAveragePool GlobalMaxPool MaxRoiPool", per_input(1), "pooling", ONNX),
    _Group("QLinearGlobalAveragePool", per_input(1), "pooling", ORT),
    _Group("GlobalLpPool", per_input(3), "pooling", ONNX),
    _Group("MaxUnpool", per_output(0), "pooling", ONNX),
    _Group("RoiAlign", per_output(40), "pooling", ONNX),
    _Group("Resize Upsample", flops.RESIZE, "resize", ONNX),
    _Group("CropAndResize", flops.RESIZE, "resize", ORT),
    _Group("GridSample", per_output(20), "resize", BOTH),
    _Group("AffineGrid", per_output(8), "resize", ONNX),
    # Products of matrices.
    _Group("MatMul MatMulInteger QLinearMatMul", flops.MATMUL, "matmul", ONNX),
    _Group("FusedMatMul FusedMatMulActivation TransposeMatMul MatMulIntegerToFloat DynamicQuantizeMatMul QGemm "
           "MatMulInteger16 QOrderedMatMul SparseToDenseMatMul", flops.MATMUL, "matmul", ORT),
    _Group("GemmFastGelu", flops.both(f"{flops.MATMUL.words}, 12 an output", flops.MATMUL, per_output(12)), "matmul",
           ORT),
    _Group("Gemm", flops.GEMM, "matmul", ONNX),
    _Group("FusedGemm GemmFloat8", flops.GEMM, "matmul", ORT),
    # Weights in quantized blocks: unpacking them makes the time another function of the sizes.
    _Group("MatMulNBits MatMulFpQ4 MatMulBnb4", flops.BLOCKED_MATMUL, "blockwise_matmul", ORT),
    _Group("MatMulPacked MatMulBlockQuantizedFp4Weight MatMulBlockQuantizedFp8Weight",
           flops.BLOCKED_MATMUL, "matmul", ORT),
    _Group("MatMulNBitsQkv MatMulNBitsMlp RouterGateUpProj", flops.EVERY_OUTPUT, "matmul", ORT),
    _Group("MatMulNBitsQLoRA", flops.LOW_RANK_MATMUL, "matmul", ORT),
    _Group("MoE", flops.experts(2, 4, 6), "matmul", ORT, "chosen"),
    _Group("QMoE", flops.experts(2, 5, 8), "matmul", ORT, "chosen"),
    _Group("MoEPacked", flops.experts(2, 3, 4), "matmul", ORT, "chosen"),
    _Group("Einsum", flops.EINSUM, "matmul", ONNX, "diagonals"),
    _Group("WordConvEmbedding", flops.WORD_CONVOLUTION, GENERIC, ORT),
    _Group("CDist", flops.DISTANCES, GENERIC, ORT),
    _Group("HyperConnectionPostMix", flops.STREAM_MIXING, GENERIC, ORT),
    _Group("HyperConnectionLowRankMix", flops.LOW_RANK_STREAMS, GENERIC, ORT),
    _Group("Det", flops.DETERMINANT, GENERIC, ONNX),
    _Group("Inverse", flops.INVERSE, GENERIC, ORT),
    # Attention and recurrence.
    _Group("Attention", flops_attention.ANY_ATTENTION, "attention", BOTH),
    _Group("MultiHeadAttention", flops_attention.ATTENTION, "attention", ORT),
    _Group("GroupQueryAttention SparseAttention", flops_attention.GROUPED_ATTENTION, "attention", ORT),
    _Group("DecoderMaskedMultiHeadAttention", flops_attention.MASKED_ATTENTION, "attention", ORT),
    _Group("QAttention DecoderMaskedSelfAttention", flops_attention.PROJECTED_ATTENTION, "attention", ORT),
    _Group("QOrderedAttention", flops_attention.ORDERED_ATTENTION, "attention", ORT),
    _Group("DecoderAttention", flops_attention.DECODER_ATTENTION, "attention", ORT),
    _Group("LongformerAttention", flops_attention.WINDOWED_ATTENTION, "attention", ORT),
    _Group("QOrderedLongformerAttention", flops_attention.ORDERED_WINDOWED_ATTENTION, "attention", ORT),
    _Group("PackedMultiHeadAttention", flops_attention.PACKED_ATTENTION, "attention", ORT),
    _Group("PackedAttention", flops_attention.PACKED_PROJECTED_ATTENTION, "attention", ORT),
    _Group("PagedAttention", flops_attention.PAGED_ATTENTION, "attention", ORT),
    _Group("DynamicSparseAttention", flops_attention.SELECTED_ATTENTION, "attention", ORT),
    _Group("SparsePagedAttention", flops_attention.SELECTED_PAGED_ATTENTION, "attention", ORT),
    _Group("LinearAttention", flops_attention.RECURRENT_ATTENTION, "attention", BOTH),
    _Group("GatedDeltaNet", flops_attention.RECURRENT_ATTENTION, "attention", ORT),
    _Group("GatedDeltaNetStateReplay", per_output(2), GENERIC, ORT),
    _Group("SparseAttentionIndexer", flops_attention.KEY_INDEX, GENERIC, ORT),
    _Group("PackedSparseAttentionIndexer", flops_attention.PACKED_KEY_INDEX, GENERIC, ORT),
    _Group("PackedSparseAttentionIndexerMerge SpeculativePrefixCommit BifurcationDetector", per_input(1), GENERIC, ORT),
    _Group("RelativePositionBias", per_output(12), GENERIC, ORT),
    _Group("GatedRelativePositionBias", flops.POSITION_GATES, GENERIC, ORT),
    _Group("LSTM", flops.recurrent(4), "recurrent", ONNX),
    _Group("GRU", flops.recurrent(3), "recurrent", ONNX),
    _Group("RNN", flops.recurrent(1), "recurrent", ONNX),
    _Group("DynamicQuantizeLSTM AttnLSTM", flops.recurrent(4), "recurrent", ORT),
    _Group("Mamba2Verify", flops.STATE_SPACE, GENERIC, ORT),
    # Sorting, selecting by data, control flow.
    _Group("TopK Unique", flops.SORTING, GENERIC, ONNX),
    _Group("NonMaxSuppression", flops.SELECTION, GENERIC, ONNX),
    _Group("MoEGroupRouter", flops.both(f"{flops.SORTING.words}, 12 an element", flops.SORTING, per_input(12)), GENERIC,
           ORT),
    _Group("NonZero", per_input(1), GENERIC, ONNX),
    _Group("If Loop Scan SequenceMap", flops.NESTED, GENERIC, ONNX),
    _Group("Multinomial", per_input(12), GENERIC, ONNX),
    _Group("NegativeLogLikelihoodLoss", per_input(1, 1), GENERIC, ONNX),
    _Group("SoftmaxCrossEntropyLoss", per_input(14), GENERIC, ONNX),
    # Signals.
    _Group("DFT", flops_signal.FOURIER, GENERIC, ONNX),
    _Group("Rfft Irfft", flops_signal.PLAIN_FOURIER, GENERIC, ORT),
    _Group("STFT", flops_signal.SHORT_FOURIER, GENERIC, ONNX),
    _Group("HannWindow HammingWindow", per_output(14), GENERIC, ONNX),
    _Group("BlackmanWindow", per_output(27), GENERIC, ONNX),
    _Group("MelWeightMatrix", per_output(4), GENERIC, ONNX),
    _Group("ImageDecoder", flops.IMAGE, GENERIC, ONNX),
    _Group("DynamicTimeWarping", per_input(4), GENERIC, ORT),
    # Text.
    _Group("StringConcat StringNormalizer StringSplit RegexFullMatch", per_input(16), GENERIC, ONNX),
    _Group("Tokenizer MurmurHash3", per_input(16), GENERIC, ORT),
    _Group("NGramRepeatBlock NGramHashMapping VarlenNGramHashMapping", per_input(8), GENERIC, ORT),
    _Group("TfIdfVectorizer", classical.WORD_GROUPS, GENERIC, ONNX),
    # Classical models.
    _Group("LabelEncoder CategoryMapper CastMap DictVectorizer ZipMap", per_input(1), GENERIC, ML),
    _Group("LinearClassifier LinearRegressor", classical.LINEAR, GENERIC, ML),
    _Group("SVMClassifier SVMRegressor", classical.SUPPORT_VECTORS, GENERIC, ML),
    _Group("TreeEnsemble TreeEnsembleClassifier TreeEnsembleRegressor", classical.TREES, GENERIC, ML),
)  # fmt: skip


def _table() -> dict[str, Operator]:
    found: dict[str, Operator] = {}
    for group in _GROUPS:
        for name in group.names.split():
            if name in found:
                raise ValueError(f"operator {name} is in the table twice")
            worst = _WORST_NS.get(name)
            found[name] = Operator(group.flops, group.family, group.source, group.reads, worst)
    return found


# Domains whose operators the table describes; a name in any other domain is somebody's own operator (rule 1).
KNOWN_DOMAINS = frozenset(
    {"", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc", "com.microsoft.experimental"}
)

_WORST_NS: dict[str, FlopRule] = {
    "NonMaxSuppression": flops.EVERY_OVERLAP,
    "Unique": flops.sorted_at("260 ns a comparison", 260),  # 100,000 numbers, none twice: 441 ms
    "TopK": flops.sorted_at("5 ns a comparison", 5),
    "NonZero": per_input(60),  # a million numbers, none zero: 43 ms; 131,072 of int32: 6 ms
    # 65,536 to a million numbers on a busy Zen 3 server: 5 to 10 ns each, 12 to 45 of a normal distribution.
    **dict.fromkeys(("RandomUniform", "RandomUniformLike", "Bernoulli"), per_output(20)),
    **dict.fromkeys(("RandomNormal", "RandomNormalLike"), per_output(60)),
    "Dropout": flops.in_training("25 ns an element", 25),
    "Multinomial": per_input(30),
}


OPERATORS: dict[str, Operator] = _table()

_DECODING = "it generates text with a decoder of its own, step by step; predict that decoder as a model of its own"
_COMPILED = "it holds a program that was compiled for one accelerator; predict the model that it was made of"
_PREVIEW = "operators of {domain} have no settled meaning yet; export the model with operators of ai.onnx"
_TRAINING = "operators of {domain} train a model; export the model for inference"

# Operators that cannot be priced, by domain and name ("*" for all of a domain), with the reason (rule 6).
REFUSED: dict[tuple[str, str], str] = {
    ("ai.onnx.preview", "*"): _PREVIEW,
    ("ai.onnx.preview.training", "*"): _TRAINING,
    ("ai.onnx.training", "*"): _TRAINING,
    **{("com.microsoft", name): _DECODING for name in ("BeamSearch", "GreedySearch", "Sampling", "WhisperBeamSearch")},
    **{("com.microsoft", name): _COMPILED for name in ("EPContext", "Snpe")},
}


def refusal(op_type: str, domain: str) -> str | None:
    """Why an operator cannot be priced, or None where it can."""
    reason = REFUSED.get((domain, op_type)) or REFUSED.get((domain, "*"))
    return reason.format(domain=domain) if reason else None
