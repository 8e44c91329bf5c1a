"""How many inputs and outputs an operator has, and which attributes it cannot be without.

Taken from the schemas of onnx 1.23 (ai.onnx, ai.onnx.ml; every version) and of ONNX Runtime 1.32 (com.microsoft, whose
numbers grow with every release, so that only the least counts). A row is `since:least-most>outputs attribute ...`: from
that version on, the operator needs so many inputs at its front, reads at most so many, writes at most so many outputs,
and needs the attributes; a number that is left out is unlimited.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from nnmeter.graph.ir import Node


class Arity(NamedTuple):
    """What a version of an operator has."""

    since: int
    least: int
    most: int | None
    outputs: int | None
    needed: tuple[str, ...]


def wrong_arity(node: Node, opsets: dict[str, int]) -> str | None:
    """What is wrong with the number of a node's inputs, outputs and attributes, or None where nothing is.

    Nothing is said of an operator that is not here, nor of a version before its first.
    """
    arity = _arity(node.domain, node.op_type, opsets.get(node.domain, 1))
    if arity is None:
        return None
    front = node.inputs[: arity.least]
    if len(front) < arity.least or "" in front:
        position = next((i for i, name in enumerate(front) if not name), len(front))
        return f"input {position} is missing, the operator needs {arity.least}"
    if arity.most is not None and len(node.inputs) > arity.most:
        return f"it has {len(node.inputs)} inputs, the operator takes {arity.most} at most"
    if arity.outputs is not None and len(node.outputs) > arity.outputs:
        return f"it has {len(node.outputs)} outputs, the operator {arity.outputs}"
    for name in arity.needed:
        if node.attributes.get(name) is None:
            return f"attribute {name} is missing"
    return None


@lru_cache(maxsize=4096)
def _arity(domain: str, op_type: str, version: int) -> Arity | None:
    rows = _ROWS.get(domain, {}).get(op_type)
    known = [arity for arity in map(_parsed, rows.split(";")) if arity.since <= version] if rows else []
    return known[-1] if known else None


def _parsed(row: str) -> Arity:
    counts, *needed = row.split()
    since, _, counts = counts.partition(":")
    least, _, counts = counts.partition("-")
    most, _, outputs = counts.partition(">")
    return Arity(int(since), int(least), int(most) if most else None, int(outputs) if outputs else None, tuple(needed))


_ROWS: dict[str, dict[str, str]] = {
    "": {
        "Abs": "1:1-1>1", "Acos": "7:1-1>1", "Acosh": "9:1-1>1", "Add": "1:2-2>1", "AffineGrid": "20:2-2>1",
        "And": "1:2-2>1", "ArgMax": "1:1-1>1", "ArgMin": "1:1-1>1", "Asin": "7:1-1>1", "Asinh": "9:1-1>1",
        "Atan": "7:1-1>1", "Atanh": "9:1-1>1", "Attention": "23:3-6>4;24:3-7>4",
        "AveragePool": "1:1-1>1 kernel_shape", "BatchNormalization": "1:5-5>5;6:5-5>5;14:5-5>3",
        "Bernoulli": "15:1-1>1", "BitCast": "26:1-1>1 to", "BitShift": "11:2-2>1 direction", "BitwiseAnd": "18:2-2>1",
        "BitwiseNot": "18:1-1>1", "BitwiseOr": "18:2-2>1", "BitwiseXor": "18:2-2>1", "BlackmanWindow": "17:1-1>1",
        "Cast": "1:1-1>1 to", "CastLike": "15:2-2>1", "CausalConvWithState": "27:2-4>2", "Ceil": "1:1-1>1",
        "Celu": "12:1-1>1", "CenterCropPad": "18:2-2>1", "Clip": "1:1-1>1;11:1-3>1", "Col2Im": "18:3-3>1",
        "Compress": "9:2-2>1", "Concat": "1:1->1;4:1->1 axis", "ConcatFromSequence": "11:1-1>1 axis",
        "Constant": "1:0-0>1 value;11:0-0>1", "ConstantOfShape": "9:1-1>1", "Conv": "1:2-3>1",
        "ConvInteger": "10:2-4>1", "ConvTranspose": "1:2-3>1", "Cos": "7:1-1>1", "Cosh": "9:1-1>1",
        "CumProd": "26:2-2>1", "CumSum": "11:2-2>1", "DFT": "17:1-2>1;20:1-3>1", "DeformConv": "19:3-5>1",
        "DepthToSpace": "1:1-1>1 blocksize", "DequantizeLinear": "10:2-3>1", "Det": "11:1-1>1", "Div": "1:2-2>1",
        "Dropout": "1:1-1>2;12:1-3>2", "DynamicQuantizeLinear": "11:1-1>3", "Einsum": "12:1->1 equation",
        "Elu": "1:1-1>1", "Equal": "1:2-2>1", "Erf": "9:1-1>1", "Exp": "1:1-1>1", "Expand": "8:2-2>1",
        "EyeLike": "9:1-1>1", "Flatten": "1:1-1>1", "Floor": "1:1-1>1", "GRU": "1:3-6>2", "Gather": "1:2-2>1",
        "GatherElements": "11:2-2>1", "GatherND": "11:2-2>1", "Gelu": "20:1-1>1", "Gemm": "1:3-3>1;11:2-3>1",
        "GlobalAveragePool": "1:1-1>1", "GlobalLpPool": "1:1-1>1", "GlobalMaxPool": "1:1-1>1", "Greater": "1:2-2>1",
        "GreaterOrEqual": "12:2-2>1", "GridSample": "16:2-2>1", "GroupNormalization": "21:3-3>1 num_groups",
        "HammingWindow": "17:1-1>1", "HannWindow": "17:1-1>1", "HardSigmoid": "1:1-1>1", "HardSwish": "14:1-1>1",
        "Hardmax": "1:1-1>1", "Identity": "1:1-1>1", "If": "1:1-1> else_branch then_branch",
        "ImageDecoder": "20:1-1>1", "InstanceNormalization": "1:3-3>1", "IsInf": "10:1-1>1", "IsNaN": "9:1-1>1",
        "LRN": "1:1-1>1 size", "LSTM": "1:3-8>3", "LayerNormalization": "17:2-3>3", "LeakyRelu": "1:1-1>1",
        "Less": "1:2-2>1", "LessOrEqual": "12:2-2>1", "LinearAttention": "27:3-6>2 kv_num_heads q_num_heads",
        "Log": "1:1-1>1", "LogSoftmax": "1:1-1>1", "Loop": "1:0-> body;11:0-> body", "LpNormalization": "1:1-1>1",
        "LpPool": "1:1-1>1;2:1-1>1 kernel_shape", "MatMul": "1:2-2>1", "MatMulInteger": "10:2-4>1", "Max": "1:1->1",
        "MaxPool": "1:1-1>1 kernel_shape;8:1-1>2 kernel_shape", "MaxRoiPool": "1:2-2>1 pooled_shape",
        "MaxUnpool": "9:2-3>1 kernel_shape", "Mean": "1:1->1", "MeanVarianceNormalization": "9:1-1>1",
        "MelWeightMatrix": "17:5-5>1", "Min": "1:1->1", "Mish": "18:1-1>1", "Mod": "10:2-2>1", "Mul": "1:2-2>1",
        "Multinomial": "7:1-1>1", "Neg": "1:1-1>1", "NegativeLogLikelihoodLoss": "12:2-3>1",
        "NonMaxSuppression": "10:2-5>1", "NonZero": "9:1-1>1", "Not": "1:1-1>1", "OneHot": "9:3-3>1",
        "Optional": "15:0-1>1", "OptionalGetElement": "15:1-1>1", "OptionalHasElement": "15:1-1>1;18:0-1>1",
        "Or": "1:2-2>1", "PRelu": "1:2-2>1", "Pad": "1:1-1>1 paddings;2:1-1>1 pads;11:2-3>1;18:2-4>1",
        "Pow": "1:2-2>1", "QLinearConv": "10:8-9>1", "QLinearMatMul": "10:8-8>1", "QuantizeLinear": "10:2-3>1",
        "RMSNormalization": "23:2-2>1", "RNN": "1:3-6>2", "RandomNormal": "1:0-0>1 shape",
        "RandomNormalLike": "1:1-1>1", "RandomUniform": "1:0-0>1 shape", "RandomUniformLike": "1:1-1>1",
        "Range": "11:3-3>1", "Reciprocal": "1:1-1>1", "ReduceL1": "1:1-1>1;18:1-2>1", "ReduceL2": "1:1-1>1;18:1-2>1",
        "ReduceLogSum": "1:1-1>1;18:1-2>1", "ReduceLogSumExp": "1:1-1>1;18:1-2>1", "ReduceMax": "1:1-1>1;18:1-2>1",
        "ReduceMean": "1:1-1>1;18:1-2>1", "ReduceMin": "1:1-1>1;18:1-2>1", "ReduceProd": "1:1-1>1;18:1-2>1",
        "ReduceSum": "1:1-1>1;13:1-2>1", "ReduceSumSquare": "1:1-1>1;18:1-2>1", "RegexFullMatch": "20:1-1>1",
        "Relu": "1:1-1>1", "Reshape": "1:1-1>1;5:2-2>1", "Resize": "10:2-2>1;11:3-4>1;13:1-4>1",
        "ReverseSequence": "10:2-2>1", "RoiAlign": "10:3-3>1", "RotaryEmbedding": "23:3-4>1", "Round": "11:1-1>1",
        "STFT": "17:2-4>1", "Scan": "8:0-> body num_scan_inputs;9:0-> body num_scan_inputs", "Scatter": "9:3-3>1",
        "ScatterElements": "11:3-3>1", "ScatterND": "11:3-3>1", "Selu": "1:1-1>1", "SequenceAt": "11:2-2>1",
        "SequenceConstruct": "11:1->1", "SequenceEmpty": "11:0-0>1", "SequenceErase": "11:1-2>1",
        "SequenceInsert": "11:2-3>1", "SequenceLength": "11:1-1>1", "SequenceMap": "17:1-> body", "Shape": "1:1-1>1",
        "Shrink": "9:1-1>1", "Sigmoid": "1:1-1>1", "Sign": "9:1-1>1", "Sin": "7:1-1>1", "Sinh": "9:1-1>1",
        "Size": "1:1-1>1", "Slice": "1:1-1>1 ends starts;10:3-5>1", "Softmax": "1:1-1>1",
        "SoftmaxCrossEntropyLoss": "12:2-3>2", "Softplus": "1:1-1>1", "Softsign": "1:1-1>1",
        "SpaceToDepth": "1:1-1>1 blocksize", "Split": "1:1-2>;2:1-1>;13:1-2>", "SplitToSequence": "11:1-2>1",
        "Sqrt": "1:1-1>1", "Squeeze": "1:1-1>1;13:1-2>1", "StringConcat": "20:2-2>1", "StringNormalizer": "10:1-1>1",
        "StringSplit": "20:1-1>2", "Sub": "1:2-2>1", "Sum": "1:1->1", "SwiGLU": "28:2-2>1", "Swish": "24:1-1>1",
        "Tan": "7:1-1>1", "Tanh": "1:1-1>1", "TensorScatter": "24:2-3>1",
        "TfIdfVectorizer": "9:1-1>1 max_gram_length max_skip_count min_gram_length mode ngram_counts ngram_indexes",
        "ThresholdedRelu": "10:1-1>1", "Tile": "1:3-3>1;6:2-2>1", "TopK": "1:1-1>2 k;10:2-2>2",
        "Transpose": "1:1-1>1", "Trilu": "14:1-2>1", "Unique": "11:1-1>4", "Unsqueeze": "1:1-1>1 axes;13:2-2>1",
        "Upsample": "1:1-1>1 height_scale width_scale;7:1-1>1 scales;9:2-2>1", "Where": "9:3-3>1", "Xor": "1:2-2>1",
    },
    "ai.onnx.ml": {
        "ArrayFeatureExtractor": "1:2-2>1", "Binarizer": "1:1-1>1", "CastMap": "1:1-1>1", "CategoryMapper": "1:1-1>1",
        "DictVectorizer": "1:1-1>1", "FeatureVectorizer": "1:1->1", "Imputer": "1:1-1>1", "LabelEncoder": "1:1-1>1",
        "LinearClassifier": "1:1-1>2 coefficients", "LinearRegressor": "1:1-1>1", "Normalizer": "1:1-1>1",
        "OneHotEncoder": "1:1-1>1", "SVMClassifier": "1:1-1>2", "SVMRegressor": "1:1-1>1", "Scaler": "1:1-1>1",
        "TreeEnsemble": "5:1-1>1 leaf_targetids leaf_weights nodes_falseleafs nodes_falsenodeids nodes_featureids "
        "nodes_modes nodes_splits nodes_trueleafs nodes_truenodeids tree_roots",
        "TreeEnsembleClassifier": "1:1-1>2", "TreeEnsembleRegressor": "1:1-1>1", "ZipMap": "1:1-1>1",
    },
    "com.microsoft": {
        "Attention": "1:2-> num_heads", "AttnLSTM": "1:3->", "BeamSearch": "1:2-> decoder eos_token_id pad_token_id",
        "BiasAdd": "1:3->", "BiasDropout": "1:2->", "BiasGelu": "1:2->", "BiasSoftmax": "1:2-> is_inner_broadcast",
        "BiasSplitGelu": "1:2->", "BifurcationDetector": "1:3->", "BitmaskBiasDropout": "1:2->",
        "BitmaskDropout": "1:1->", "BranchwiseRMSNorm": "1:1->", "CDist": "1:2->", "CausalConvWithState": "1:2->",
        "ComplexMul": "1:2->", "ComplexMulConj": "1:2->", "ConvStateReplay": "1:4->",
        "ConvTransposeWithDynamicPads": "1:2->", "CropAndResize": "1:4->", "DecoderAttention": "1:5-> num_heads",
        "DecoderMaskedMultiHeadAttention": "1:1-> num_heads", "DecoderMaskedSelfAttention": "1:3-> num_heads",
        "DequantizeBFP": "1:3-> bfp_type", "DequantizeLinear": "1:2->",
        "DequantizeWithOrder": "1:2-> order_input order_output to", "DynamicQuantizeLSTM": "1:3->",
        "DynamicQuantizeMatMul": "1:3->", "DynamicSparseAttention": "1:1-> kv_num_heads num_heads",
        "DynamicTimeWarping": "1:1->", "EPContext": "1:0->", "EmbedLayerNormalization": "1:1->",
        "EngramGate": "1:5->", "ExpandDims": "1:2->", "FastGelu": "1:1->", "FusedConv": "1:2->", "FusedGemm": "1:2->",
        "FusedMatMul": "1:2->", "FusedMatMulActivation": "1:2-> activation", "GatedAdd": "1:3->",
        "GatedDeltaNet": "1:1->", "GatedDeltaNetStateReplay": "1:4->", "GatedRMSNorm": "1:3->",
        "GatedRelativePositionBias": "1:6-> num_heads", "GatherBlockQuantized": "1:3->", "GatherND": "1:2->",
        "GatherPacked": "1:2-> K packed_type", "Gelu": "1:1->", "GemmFastGelu": "1:2->", "GemmFloat8": "1:2->",
        "GemmaRotaryEmbedding": "1:5->", "GreedySearch": "1:2-> decoder eos_token_id pad_token_id",
        "GridSample": "1:2->", "GroupNorm": "1:3-> activation groups",
        "GroupQueryAttention": "1:1-> kv_num_heads num_heads", "HyperConnectionLowRankMix": "1:5-> num_branches",
        "HyperConnectionPostMix": "1:3->", "HyperConnectionPreMix": "1:2->", "Inverse": "1:1->",
        "Irfft": "1:1-> signal_ndim", "IsAllFinite": "1:1->", "LinearAttention": "1:3-> kv_num_heads q_num_heads",
        "LinearAttentionGate": "1:3->", "LongformerAttention": "1:7-> num_heads window",
        "MRotaryEmbedding": "1:4-> mrope_section", "Mamba2Verify": "1:10-> heads n_groups",
        "MatMulBlockQuantizedFp4Weight": "1:4->", "MatMulBlockQuantizedFp8Weight": "1:3->",
        "MatMulBnb4": "1:3-> K N block_size quant_type", "MatMulFpQ4": "1:3->", "MatMulInteger16": "1:2->",
        "MatMulIntegerToFloat": "1:4->", "MatMulNBits": "1:3-> K N block_size",
        "MatMulNBitsMlp": "1:1-> K N activation block_size", "MatMulNBitsQLoRA": "1:7-> K N",
        "MatMulNBitsQkv": "1:1-> K Nkv Nq block_size", "MatMulPacked": "1:2-> K N packed_type",
        "MaxpoolWithMask": "1:2->", "MoE": "1:3->", "MoEGroupRouter": "1:2-> top_k",
        "MoEPacked": "1:3-> down_type gate_type", "MulInteger": "1:1->", "MultiHeadAttention": "1:1-> num_heads",
        "MurmurHash3": "1:1->", "NGramHashMapping": "1:3-> max_ngram_size n_head_per_ngram pad_id",
        "NGramRepeatBlock": "1:2-> ngram_size", "NhwcConv": "1:2->", "NhwcFusedConv": "1:2->",
        "NhwcMaxPool": "1:1-> kernel_shape", "PackedAttention": "1:5-> num_heads",
        "PackedMultiHeadAttention": "1:1-> num_heads",
        "PackedSparseAttentionIndexer": "1:1-> compress_ratio policy_mode state_capacity",
        "PackedSparseAttentionIndexerMerge": "1:3-> max_output_entries policy_mode", "Pad": "1:2->",
        "PagedAttention": "1:1-> kv_num_heads num_heads", "QAttention": "1:5-> num_heads",
        "QEmbedLayerNormalization": "1:1->", "QGemm": "1:6->", "QLinearAdd": "1:2->",
        "QLinearAveragePool": "1:2-> kernel_shape", "QLinearConcat": "1:3-> axis", "QLinearConv": "1:8->",
        "QLinearGlobalAveragePool": "1:5->", "QLinearLeakyRelu": "1:2->", "QLinearMul": "1:2->",
        "QLinearReduceMean": "1:2-> axes keepdims", "QLinearSigmoid": "1:2->", "QLinearSoftmax": "1:2-> opset",
        "QLinearWhere": "1:9->", "QMoE": "1:3->",
        "QOrderedAttention": "1:14-> num_heads order_input order_output order_weight", "QOrderedGelu": "1:3->",
        "QOrderedLayerNormalization": "1:3->",
        "QOrderedLongformerAttention": "1:14-> num_heads order_global_weight order_input order_output order_weight "
        "window",
        "QOrderedMatMul": "1:5-> order_A order_B order_Y", "QuantizeBFP": "1:1-> bfp_type", "QuantizeLinear": "1:2->",
        "QuantizeWithOrder": "1:2-> order_input order_output", "QuickGelu": "1:1->",
        "RMSNormRotary": "1:5-> rotary_embedding_dim", "Range": "1:2->", "ReduceSumInteger": "1:1-> axes keepdims",
        "RelativePositionBias": "1:3-> max_distance", "RemovePadding": "1:2->", "RestorePadding": "1:2->",
        "Rfft": "1:1->", "RotaryEmbedding": "1:4->", "RouterGateUpProj": "1:2-> router_size", "SampleOp": "1:1->",
        "Sampling": "1:2-> decoder eos_token_id pad_token_id", "ScaledSiLU": "1:1->",
        "SkipGroupNorm": "1:4-> activation groups", "SkipLayerNormalization": "1:3->",
        "SkipSimplifiedLayerNormalization": "1:3->", "Snpe": "1:1-> DLC",
        "SparseAttention": "1:1-> kv_num_heads num_heads sparse_block_size",
        "SparseAttentionIndexer": "1:1-> compress_ratio policy_mode",
        "SparsePagedAttention": "1:1-> kv_num_heads num_heads", "SparseToDenseMatMul": "1:2->",
        "SpeculativePrefixCommit": "1:7->", "SwiGLU": "1:1->", "Tokenizer": "1:1-> mark mincharnum pad_value",
        "TorchEmbedding": "1:2->", "TransposeMatMul": "1:2->", "Trilu": "1:1->", "UnfoldTensor": "1:1-> size",
        "Unique": "1:1->", "VarlenCausalConvWithState": "1:3->",
        "VarlenNGramHashMapping": "1:4-> max_ngram_size n_head_per_ngram pad_id",
        "WhisperBeamSearch": "1:2-> decoder eos_token_id pad_token_id", "WordConvEmbedding": "1:4->",
    },
}  # fmt: skip
