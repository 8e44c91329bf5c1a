"""Types of classical models (ai.onnx.ml): rows of features in, labels, scores or features out.

A map is typed by its values, a sequence of maps (`ZipMap`) by the values of all of them: a row for each map.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnmeter.graph.dtypes import DTYPE_OF_NUMPY
from nnmeter.graph.ir import Node, TensorType
from nnmeter.operators.shape_rules.common import Context, Inputs, Rule, ShapeError, present, product, same, table
from nnmeter.operators.shape_rules.reduction import RULES as REDUCTION_RULES


def _size(node: Node, *names: str) -> int:
    """Length of the first of these attributes that is there; a stored tensor counts its elements."""
    for name in names:
        value = node.attributes.get(name)
        if value is not None:
            return int(value.elements if isinstance(value, TensorType) else getattr(value, "size", None) or len(value))
    return 0


def _rows(x: TensorType) -> tuple[int, int]:
    """Rows and features; one dimension is one row."""
    if not x.shape:
        return 1, 1
    return (x.shape[0], product(x.shape[1:])) if len(x.shape) > 1 else (1, x.shape[0])


def _floats(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    return (TensorType("float32", present(inputs, 0).shape),)


def _mapped(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    """Words to numbers, or numbers to words."""
    x = present(inputs, 0)
    return (TensorType("int64" if x.dtype == "string" else "string", x.shape),)


_VALUES: dict[str, str] = {"values_floats": "float32", "values_int64s": "int64", "values_strings": "string"}


def _encoded(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    stored: Any = node.attributes.get("values_tensor")
    if isinstance(stored, np.ndarray):
        return (TensorType(DTYPE_OF_NUMPY[stored.dtype], present(inputs, 0).shape),)
    if isinstance(stored, TensorType):
        return (TensorType(stored.dtype, present(inputs, 0).shape),)
    dtype = next((dtype for name, dtype in _VALUES.items() if node.attributes.get(name)), None)
    return _mapped(node, inputs, context) if dtype is None else (TensorType(dtype, present(inputs, 0).shape),)


def _one_hot(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    return (TensorType("float32", (*present(inputs, 0).shape, _size(node, "cats_int64s", "cats_strings"))),)


def _joined(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    sizes = node.attributes.get("inputdimensions") or [_rows(present(inputs, i))[1] for i in range(len(inputs))]
    return (TensorType("float32", (_rows(present(inputs, 0))[0], sum(sizes))),)


def _labels(node: Node, rows: int) -> TensorType:
    words = any(node.attributes.get(name) for name in ("classlabels_strings", "classlabels_strings_attribute"))
    return TensorType("string" if words else "int64", (rows,))


def _classes(node: Node) -> int:
    return _size(node, "classlabels_strings", "classlabels_ints", "classlabels_int64s")


def _linear_classifier(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    rows, features = _rows(present(inputs, 0))
    scores = max(_classes(node), _size(node, "coefficients") // max(features, 1))
    return _labels(node, rows), TensorType("float32", (rows, scores))


def _support_vector_classifier(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    """Without probabilities, support vectors vote on every pair of classes; two classes have two scores."""
    rows, _ = _rows(present(inputs, 0))
    classes = _classes(node)
    pairs = classes * (classes - 1) // 2
    voted = _size(node, "vectors_per_class") and not _size(node, "prob_a")
    return _labels(node, rows), TensorType("float32", (rows, max(pairs, 2) if voted else classes))


def _tree_classifier(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    rows, _ = _rows(present(inputs, 0))
    return _labels(node, rows), TensorType("float32", (rows, max(_classes(node), 1)))


def _regressor(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    targets = node.attributes.get("n_targets") or node.attributes.get("targets") or 1
    dtype = x.dtype if node.op_type == "TreeEnsemble" else "float32"
    return (TensorType(dtype, (_rows(x)[0], targets)),)


def _zip_map(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    return (TensorType("float32", _rows(present(inputs, 0))),)


def _vectorized(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    words = _size(node, "string_vocabulary", "int64_vocabulary")
    if not words:
        raise ShapeError("it has no vocabulary")
    return (TensorType(present(inputs, 0).dtype, (1, words)),)


_CASTS: dict[str, str] = {"TO_FLOAT": "float32", "TO_STRING": "string", "TO_INT64": "int64"}


def _cast_map(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    sparse = node.attributes.get("map_form", "DENSE") == "SPARSE"
    size = node.attributes.get("max_map", 1) if sparse else present(inputs, 0).elements
    return (TensorType(_CASTS[node.attributes.get("cast_to", "TO_FLOAT")], (1, size)),)


def _word_groups(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x, indexes = present(inputs, 0), node.attributes["ngram_indexes"]
    return (TensorType("float32", (*x.shape[:-1], max(indexes) + 1)),)


WORD_GROUPS: Rule = _word_groups  # TfIdfVectorizer, of ai.onnx

RULES: dict[str, Rule] = {
    "ArrayFeatureExtractor": REDUCTION_RULES["ArrayFeatureExtractor"],
    **table(
        ("Binarizer Imputer", same),
        ("Scaler Normalizer", _floats),
        ("CategoryMapper", _mapped),
        ("LabelEncoder", _encoded),
        ("OneHotEncoder", _one_hot),
        ("FeatureVectorizer", _joined),
        ("LinearClassifier", _linear_classifier),
        ("SVMClassifier", _support_vector_classifier),
        ("TreeEnsembleClassifier", _tree_classifier),
        ("LinearRegressor SVMRegressor TreeEnsembleRegressor TreeEnsemble", _regressor),
        ("ZipMap", _zip_map),
        ("DictVectorizer", _vectorized),
        ("CastMap", _cast_map),
    ),
}
