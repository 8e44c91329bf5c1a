"""How many inputs an operator of com.microsoft needs, and which attributes it cannot be without.

Taken from the schemas of ONNX Runtime 1.32; their numbers grow with every release, so that only the least counts. Those
of ONNX's own domains are in `nnmeter.operators.schemas`. A row is `since:least-most>outputs attribute ...`: from
that version on, the operator needs so many inputs at its front, reads at most so many, writes at most so many outputs,
and needs the attributes; a number that is left out is unlimited.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from nnmeter.graph.ir import Node
from nnmeter.operators.schemas import wrong_number


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
    wrong = wrong_number(node, arity.least, arity.most, arity.outputs)
    if wrong is not None:
        return wrong
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
