"""Types of operators that ONNX's cases do not show, against what ONNX Runtime computes for them."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from nnmeter.binding.bind import bind_shapes
from nnmeter.formats import read_model
from nnmeter.graph.dtypes import DTYPE_OF_NUMPY
from nnmeter.graph.input_sizes import InputSizes

ort = pytest.importorskip("onnxruntime")

ML, MICROSOFT = "ai.onnx.ml", "com.microsoft"
RANDOM = np.random.default_rng(0)


def f32(*shape: int) -> np.ndarray:
    return RANDOM.random(shape, np.float32)


def u8(*shape: int) -> np.ndarray:
    return RANDOM.integers(0, 255, shape, np.uint8)


def i64(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


WORDS = np.array([["cat", "dog"], ["dog", "fox"]], object)
X, SIZES = f32(4, 3), {"nodes_treeids": [0, 0, 0, 1, 1, 1], "nodes_nodeids": [0, 1, 2] * 2}
TREE = {
    **SIZES,
    "nodes_featureids": [0, 0, 0, 1, 0, 0],
    "nodes_values": [0.5, 0.0, 0.0] * 2,
    "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"] * 2,
    "nodes_truenodeids": [1, 0, 0] * 2,
    "nodes_falsenodeids": [2, 0, 0] * 2,
}
LEAVES = ([0, 0, 1, 1], [1, 2, 1, 2])
CLASSES = {
    "class_treeids": LEAVES[0],
    "class_nodeids": LEAVES[1],
    "class_ids": [0, 1, 2, 1],
    "class_weights": [0.5] * 4,
}
TARGETS = {
    "target_treeids": LEAVES[0], "target_nodeids": LEAVES[1], "target_ids": [0, 1, 0, 1], "target_weights": [0.5] * 4,
}  # fmt: skip
VECTORS = {"kernel_type": "RBF", "kernel_params": [0.1, 0.0, 3.0], "support_vectors": [0.1] * 18}


@pytest.mark.parametrize(
    ("op", "domain", "inputs", "attributes", "outputs"),
    [
        ("Binarizer", ML, [X], {"threshold": 0.5}, 1),
        ("Scaler", ML, [X], {"offset": [0.0] * 3, "scale": [1.0] * 3}, 1),
        ("Scaler", ML, [i64(1, 2, 3).reshape(1, 3)], {"offset": [0.0] * 3, "scale": [1.0] * 3}, 1),
        ("Normalizer", ML, [X], {"norm": "L2"}, 1),
        ("Imputer", ML, [X], {"imputed_value_floats": [0.0], "replaced_value_float": 1.0}, 1),
        ("CategoryMapper", ML, [WORDS], {"cats_strings": ["cat", "dog"], "cats_int64s": [1, 2]}, 1),
        ("LabelEncoder", ML, [WORDS], {"keys_strings": ["cat"], "values_floats": [1.0]}, 1),
        ("LabelEncoder", ML, [i64(1, 2)], {"keys_int64s": [1], "values_strings": ["cat"]}, 1),
        ("OneHotEncoder", ML, [i64(1, 2, 3)], {"cats_int64s": [1, 2, 3, 4]}, 1),
        ("OneHotEncoder", ML, [WORDS], {"cats_strings": ["cat", "dog", "fox"]}, 1),
        ("FeatureVectorizer", ML, [X, f32(4, 2)], {"inputdimensions": [3, 2]}, 1),
        ("ArrayFeatureExtractor", ML, [X, i64(0, 2)], {}, 1),
        ("LinearRegressor", ML, [X], {"coefficients": [0.5] * 6, "intercepts": [0.0] * 2, "targets": 2}, 1),
        ("LinearClassifier", ML, [X], {"coefficients": [0.5] * 9, "intercepts": [0.0] * 3,
                                       "classlabels_ints": [0, 1, 2]}, 2),
        ("LinearClassifier", ML, [X], {"coefficients": [0.5] * 3, "intercepts": [0.0],
                                       "classlabels_strings": ["no", "yes"]}, 2),
        ("SVMRegressor", ML, [X], {**VECTORS, "n_supports": 6, "coefficients": [0.5] * 6, "rho": [0.1]}, 1),
        ("SVMClassifier", ML, [X], {**VECTORS, "vectors_per_class": [2, 2, 2], "coefficients": [0.5] * 12,
                                    "rho": [0.1] * 3, "classlabels_ints": [0, 1, 2]}, 2),
        ("SVMClassifier", ML, [X], {**VECTORS, "vectors_per_class": [3, 3], "coefficients": [0.5] * 6, "rho": [0.1],
                                    "classlabels_ints": [0, 1]}, 2),
        ("SVMClassifier", ML, [X], {**VECTORS, "vectors_per_class": [2, 2, 1, 1], "coefficients": [0.5] * 18,
                                    "rho": [0.1] * 6, "classlabels_ints": [0, 1, 2, 3]}, 2),
        ("SVMClassifier", ML, [X], {**VECTORS, "vectors_per_class": [2, 2, 1, 1], "coefficients": [0.5] * 18,
                                    "rho": [0.1] * 6, "prob_a": [0.1] * 6, "prob_b": [0.1] * 6,
                                    "classlabels_ints": [0, 1, 2, 3]}, 2),
        ("TreeEnsembleClassifier", ML, [X], {**TREE, **CLASSES, "classlabels_int64s": [0, 1, 2]}, 2),
        ("TreeEnsembleClassifier", ML, [X],
         {**TREE, **CLASSES, "class_ids": [0] * 4, "classlabels_strings": ["a", "b"]}, 2),
        ("TreeEnsembleRegressor", ML, [X], {**TREE, **TARGETS, "n_targets": 2}, 1),
        ("TreeEnsembleRegressor", ML, [X.astype(np.float64)], {**TREE, **TARGETS, "n_targets": 2}, 1),
        ("TfIdfVectorizer", "", [np.array([[1, 2, 1]], np.int32)],
         {"mode": "TF", "min_gram_length": 1, "max_gram_length": 1, "max_skip_count": 0, "pool_int64s": [1, 2],
          "ngram_counts": [0], "ngram_indexes": [0, 1]}, 1),
        ("StringNormalizer", "", [WORDS[0]], {"case_change_action": "NONE"}, 1),
        ("StringConcat", "", [WORDS, WORDS[:1]], {}, 1),
        ("RegexFullMatch", "", [WORDS], {"pattern": "c.*"}, 1),
        ("ExpandDims", MICROSOFT, [X, np.array(1, np.int32)], {}, 1),
        ("CDist", MICROSOFT, [X, f32(5, 3)], {"metric": "euclidean"}, 1),
        ("CropAndResize", MICROSOFT,
         [f32(2, 3, 8, 8), f32(5, 4), np.zeros(5, np.int32), np.array([4, 6], np.int32)], {}, 1),
        ("MurmurHash3", MICROSOFT, [np.arange(3, dtype=np.int32)], {}, 1),
        ("MurmurHash3", MICROSOFT, [np.arange(3, dtype=np.int32)], {"positive": 0}, 1),
        ("UnfoldTensor", MICROSOFT, [f32(2, 9)], {"dim": 1, "size": 3, "step": 2}, 1),
        ("NGramRepeatBlock", MICROSOFT, [i64(1, 2, 1, 2).reshape(1, 4), f32(1, 9)], {"ngram_size": 2}, 1),
        ("MaxpoolWithMask", MICROSOFT, [f32(1, 3, 8, 8), np.ones((1, 3, 8, 8), np.int32)],
         {"kernel_shape": [3, 3], "strides": [2, 2]}, 1),
        ("ConvTransposeWithDynamicPads", MICROSOFT, [f32(1, 3, 8, 8), f32(3, 2, 3, 3), i64(1, 1, 1, 1)],
         {"strides": [2, 2]}, 1),
        ("WordConvEmbedding", MICROSOFT, [np.ones((4, 7), np.int32), f32(6, 1, 3, 5), f32(6), f32(9, 5)], {}, 1),
        ("Inverse", MICROSOFT, [np.eye(3, dtype=np.float32)[None]], {}, 1),
        ("QuickGelu", MICROSOFT, [X], {}, 1),
        ("BiasGelu", MICROSOFT, [X, f32(3)], {}, 1),
        ("SkipLayerNormalization", MICROSOFT, [f32(2, 4, 8), f32(2, 4, 8), f32(8)], {}, 1),
        ("FusedMatMul", MICROSOFT, [f32(2, 4, 8), f32(2, 6, 8)], {"transB": 1}, 1),
        ("MatMulNBits", MICROSOFT, [f32(2, 32), u8(16, 1, 16), f32(16)],
         {"K": 32, "N": 16, "bits": 4, "block_size": 32}, 1),
        ("GatherBlockQuantized", MICROSOFT, [u8(9, 16), i64(1, 2), f32(9, 1)],
         {"bits": 4, "block_size": 32, "gather_axis": 0, "quantize_axis": 1}, 1),
        ("Attention", MICROSOFT, [f32(2, 5, 8), f32(8, 24), f32(24)], {"num_heads": 2}, 1),
        ("MultiHeadAttention", MICROSOFT, [f32(2, 5, 8), f32(2, 7, 8), f32(2, 7, 8)], {"num_heads": 2}, 1),
        ("GroupQueryAttention", MICROSOFT,
         [f32(1, 5, 32), f32(1, 5, 16), f32(1, 5, 16), f32(1, 2, 0, 8), f32(1, 2, 0, 8), np.array([4], np.int32),
          np.array(5, np.int32)], {"num_heads": 4, "kv_num_heads": 2}, 3),
        ("LinearAttention", MICROSOFT, [f32(1, 5, 32), f32(1, 5, 16), f32(1, 5, 16)],
         {"q_num_heads": 4, "kv_num_heads": 2, "update_rule": "linear"}, 2),
        ("CausalConvWithState", MICROSOFT, [f32(1, 6, 9), f32(6, 1, 4)], {}, 2),
        ("MoE", MICROSOFT, [f32(5, 8), f32(5, 2), f32(2, 16, 8), None, f32(2, 8, 16)],
         {"k": 1, "activation_type": "relu"}, 1),
        ("DynamicQuantizeMatMul", MICROSOFT, [f32(5, 8), u8(8, 6), np.array([0.1], np.float32)], {}, 1),
        ("QEmbedLayerNormalization", MICROSOFT,
         [np.zeros((2, 4), np.int32), None, u8(9, 8), u8(4, 8), None, u8(8), u8(8), None, *[np.float32(0.1)] * 2, None,
          *[np.float32(0.1)] * 2, *[np.uint8(0)] * 2, None, *[np.uint8(0)] * 2], {}, 2),
        ("RotaryEmbedding", MICROSOFT, [f32(1, 5, 16), i64(0, 1, 2, 3, 4).reshape(1, 5), f32(8, 4), f32(8, 4)],
         {"num_heads": 2}, 1),
        ("Unique", MICROSOFT, [np.array([1.0, 2.0, 3.0], np.float32)], {}, 3),
        ("GridSample", MICROSOFT, [f32(1, 2, 5, 5), f32(1, 3, 4, 2)], {}, 1),
        ("Trilu", MICROSOFT, [f32(4, 4)], {}, 1),
    ],
)  # fmt: skip
def test_types_are_those_of_onnx_runtime(
    op: str, domain: str, inputs: list[Any], attributes: dict[str, Any], outputs: int
) -> None:
    arrays = {f"i{n}": np.asarray(x) for n, x in enumerate(inputs) if x is not None}
    names = ["" if x is None else f"i{n}" for n, x in enumerate(inputs)]
    node = helper.make_node(op, names, [f"o{n}" for n in range(outputs)], domain=domain, **attributes)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info(n, _code(a), a.shape) for n, a in arrays.items()],
        [onnx.ValueInfoProto(name=name) for name in node.output],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid(ML, 3), helper.make_opsetid(MICROSOFT, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as fault:
        if "NOT_IMPLEMENTED" in str(fault) or "not a registered" in str(fault):
            pytest.skip(f"this ONNX Runtime has no {op}")
        raise
    theirs = session.run(None, arrays)
    small = {name: array for name, array in arrays.items() if array.dtype.kind in "biuf"}
    found = bind_shapes(read_model(model), InputSizes(values=small))
    dtypes = [DTYPE_OF_NUMPY.get(array.dtype, "string") for array in theirs]
    assert [found.types[name].dtype for name in node.output] == dtypes
    assert [found.types[name].shape for name in node.output] == [array.shape for array in theirs]


def _code(array: np.ndarray) -> int:
    return onnx.TensorProto.STRING if array.dtype == object else helper.np_dtype_to_tensor_dtype(array.dtype)
