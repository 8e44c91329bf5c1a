"""FLOPs of classical models (ai.onnx.ml), which depend on the sizes of attributes.

These attributes are too long to belong to a kernel's signature. So shape inference notes the cost in the node
(`NESTED_COST`), as it does for nested graphs, while it still sees them.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log2

from nnmeter.graph.ir import TensorType
from nnmeter.operators.flops import Attributes, FlopRule, Types, in_elements, shape


def _size(attributes: Attributes, *names: str) -> int:
    """Length of the first of these attributes that is there; a stored tensor counts its elements."""
    for name in names:
        value = attributes.get(name)
        if value is not None:
            return int(value.elements if isinstance(value, TensorType) else getattr(value, "size", None) or len(value))
    return 0


def _rows(inputs: Types) -> int:
    x = shape(inputs, 0)
    return x[0] if len(x) > 1 else 1


def _linear(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    return 2 * _rows(inputs) * _size(attributes, "coefficients")


def _support_vectors(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    weights = _size(attributes, "support_vectors") + _size(attributes, "coefficients")
    return 2 * _rows(inputs) * weights


def _trees(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    """Two for every level of every tree: load and compare; trees of n nodes are taken for balanced."""
    nodes = _size(attributes, "nodes_treeids", "nodes_splits")
    roots = attributes.get("tree_roots")
    trees = max(len(set(attributes["nodes_treeids"])) if "nodes_treeids" in attributes else len(roots or (0,)), 1)
    return 2 * _rows(inputs) * trees * log2(nodes / trees + 2)


def _word_groups(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    length = int(attributes.get("max_gram_length", 1))
    skips = int(attributes.get("max_skip_count", 0)) + 1
    return 8 * in_elements(inputs) * length * skips


LINEAR = FlopRule("2 x rows x coefficients", _linear)
SUPPORT_VECTORS = FlopRule("2 x rows x (elements of the support vectors + coefficients)", _support_vectors)
TREES = FlopRule("2 x rows x trees x log2(nodes of a tree)", _trees)
WORD_GROUPS = FlopRule("8 a word, length of a group and skip", _word_groups)

NOTED = frozenset(
    "LinearClassifier LinearRegressor SVMClassifier SVMRegressor TreeEnsemble TreeEnsembleClassifier "
    "TreeEnsembleRegressor TfIdfVectorizer".split()
)
