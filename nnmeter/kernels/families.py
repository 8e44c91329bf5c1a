"""Kernel families: which kernels share one trained function.

A family is a group of operators that run the same kind of loop, so that samples of one teach the price of another.
Every operator belongs to exactly one; one that is not in the table belongs to `generic`, which is described by bytes,
elements and FLOPs alone. To add a family, add its operators here and its features to `nnmeter/kernels/features/`.
"""

from __future__ import annotations

from nnmeter.kernels.kernel import KernelSignature

GENERIC = "generic"

_MEMBERS: dict[str, str] = {
    "matmul": (
        "MatMul Gemm FusedMatMul FusedMatMulActivation TransposeMatMul MatMulInteger MatMulIntegerToFloat "
        "DynamicQuantizeMatMul QLinearMatMul QGemm MatMulNBits MatMulFpQ4 MatMulBnb4 Einsum"
    ),
    "pooling": (
        "MaxPool NhwcMaxPool AveragePool GlobalAveragePool GlobalMaxPool LpPool GlobalLpPool QLinearAveragePool "
        "QLinearGlobalAveragePool MaxUnpool MaxRoiPool RoiAlign"
    ),
    "normalization": (
        "LayerNormalization SimplifiedLayerNormalization RMSNormalization SkipLayerNormalization "
        "SkipSimplifiedLayerNormalization EmbedLayerNormalization BatchNormalization InstanceNormalization "
        "GroupNormalization GroupNorm SkipGroupNorm LRN LpNormalization MeanVarianceNormalization"
    ),
    "softmax": "Softmax LogSoftmax Hardmax BiasSoftmax QLinearSoftmax",
    "elementwise": (
        "Add Sub Mul Div Pow Mod Min Max Sum Mean PRelu And Or Xor Not Equal Greater Less GreaterOrEqual LessOrEqual "
        "Where BitShift BitwiseAnd BitwiseOr BitwiseXor BitwiseNot QLinearAdd QLinearMul BiasGelu BiasAdd "
        "BiasSplitGelu BiasDropout AddGelu "
        "Relu LeakyRelu Sigmoid Tanh Erf Gelu FastGelu QuickGelu HardSigmoid HardSwish Swish Mish Elu Celu Selu "
        "Softplus Softsign ThresholdedRelu Clip Exp Log Sqrt Reciprocal Rsqrt Neg Abs Sign Floor Ceil Round Sin "
        "Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh IsNaN IsInf Shrink Cast CastLike QuantizeLinear "
        "DequantizeLinear "
        "QLinearSigmoid QLinearLeakyRelu QLinearWhere RotaryEmbedding Dropout"
    ),
    "reduction": (
        "ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp "
        "ReduceSumSquare QLinearReduceMean ArgMax ArgMin CumSum DynamicQuantizeLinear"
    ),
    "transpose": "Transpose DepthToSpace SpaceToDepth ReverseSequence ReorderInput ReorderOutput",
    "movement": (
        "Concat Split SplitToSequence Slice Pad Gather GatherElements GatherND Scatter ScatterElements ScatterND Tile "
        "Expand OneHot Compress QLinearConcat ConcatFromSequence Trilu EyeLike ConstantOfShape Range RandomNormal "
        "RandomUniform RandomNormalLike RandomUniformLike GatherBlockQuantized CropAndResize Crop CenterCropPad Col2Im"
    ),
    "view": "Reshape Squeeze Unsqueeze Flatten Identity Shape Size Optional OptionalGetElement OptionalHasElement",
    "resize": "Resize Upsample GridSample AffineGrid",
    "recurrent": "LSTM GRU RNN DynamicQuantizeLSTM",
    "attention": (
        "Attention MultiHeadAttention GroupQueryAttention DecoderMaskedMultiHeadAttention PackedAttention QAttention "
        "SparseAttention PackedMultiHeadAttention PagedAttention LinearAttention"
    ),
}

FAMILY_OF_OPERATOR: dict[str, str] = {op: family for family, ops in _MEMBERS.items() for op in ops.split()}

_CONVOLUTIONS = frozenset(
    "Conv ConvTranspose ConvInteger QLinearConv DeformConv NhwcConv NhwcFusedConv QLinearConvTranspose".split()
)

# Products by weights that are quantized in blocks: unpacking them makes their time another function of their sizes.
_BLOCKWISE = frozenset({"MatMulNBits"})

FAMILIES: tuple[str, ...] = (
    "convolution",
    "grouped_convolution",
    "depthwise_convolution",
    "blockwise_matmul",
    *_MEMBERS,
    GENERIC,
)


def kernel_family(signature: KernelSignature) -> str:
    """The family of a kernel: a key of `FAMILIES`; convolutions are told apart by their groups.

    Products by blocks of quantized weights are a family of their own.
    """
    if signature.op_type in _CONVOLUTIONS:
        groups = signature.attribute("group", 1)
        if groups == 1:
            return "convolution"
        weight = _weight(signature)
        if weight is not None and len(weight.shape) > 1 and weight.shape[1] == 1:
            return "depthwise_convolution"
        return "grouped_convolution"
    if signature.op_type in _BLOCKWISE:
        return "blockwise_matmul"
    return FAMILY_OF_OPERATOR.get(signature.op_type, GENERIC)


def _weight(signature: KernelSignature):  # type: ignore[no-untyped-def]
    position = 3 if signature.op_type == "QLinearConv" else 1
    return signature.inputs[position] if len(signature.inputs) > position else None
