"""Half precision: all of a model in float16.

What `convert_float_to_float16` of ONNX Runtime 1.32 writes (onnxruntime/transformers/float16.py), told as rules:

1. Inputs, outputs, weights and attributes of float32 become float16; so do Casts to float32.
2. Some operators stay in float32 (`_STAYS`), with a Cast before each input and behind each output; a constant that only
   they read stays, too. Some inputs of others always are float32 (`_ALWAYS_FLOAT`).
3. Where inputs and outputs are kept, a Cast stands behind each input and before each output.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

import numpy as np

from nnmeter.errors import ModelError
from nnmeter.graph.dtypes import CODE_OF_DTYPE
from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes
from nnmeter.graph.ir import Node, TensorType
from nnmeter.graph.unbound import UnboundGraph, UnboundModel
from nnmeter.transforms.draft import Draft

# Rule 2: operators that the converter leaves in float32.
_STAYS = frozenset(
    {
        "ArrayFeatureExtractor", "Binarizer", "CastMap", "CategoryMapper", "CumSum", "DictVectorizer",
        "FeatureVectorizer", "Imputer", "LabelEncoder", "LinearClassifier", "LinearRegressor", "Max", "Min",
        "NonMaxSuppression", "Normalizer", "OneHotEncoder", "RandomUniformLike", "Range", "RoiAlign", "SVMClassifier",
        "SVMRegressor", "Scaler", "TopK", "TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor", "Upsample",
        "ZipMap",
    }
)  # fmt: skip
_ALWAYS_FLOAT: dict[str, tuple[int, ...]] = {"Resize": (2,), "GroupNorm": (1, 2), "SkipGroupNorm": (1, 2)}
_WITH_DTYPE = frozenset({"EyeLike", "RandomNormal", "RandomNormalLike", "RandomUniform", "Multinomial", "Bernoulli"})
_HALF, _SINGLE = CODE_OF_DTYPE["float16"], CODE_OF_DTYPE["float32"]


def convert_to_half(model: UnboundModel, keep_io: bool = False, sizes: InputSizes = AS_DECLARED) -> UnboundModel:
    """The model in float16.

    Args:
        model: the model in float32.
        keep_io: leave its inputs and outputs in float32.
        sizes: what the model leaves open.

    Raises:
        ModelError: it has loops or branches, which this does not convert.
    """
    draft = Draft(model, sizes)
    for node in draft.nodes:
        if any(isinstance(value, UnboundGraph) for value in node.attributes.values()):
            raise ModelError(
                f"{draft.source}: node '{node.name}' ({node.op_type}) has a graph of its own, which half precision "
                "does not reach; export the model without it"
            )
    single = {name for name, kind in draft.types.items() if kind.dtype == "float32"}
    ends = _casts_at_the_ends(draft, single) if keep_io else []
    kept = {declared.name for declared in (*draft.inputs, *draft.outputs)} if keep_io else set()
    stays = _constants_that_stay(draft)
    half = {name for name in single if name not in kept and name not in stays}
    for name in draft.constants:
        if name in half:
            draft.constants[name] = TensorType("float16", draft.constants[name].shape)
            if name in draft.values:
                largest = float(np.finfo(np.float16).max)
                draft.values[name] = np.clip(draft.values[name], -largest, largest).astype(np.float16)
    draft.inputs = [replace(d, dtype="float16") if d.name in half else d for d in draft.inputs]
    draft.outputs = [replace(d, dtype="float16") if d.name in half else d for d in draft.outputs]
    casts: dict[str, str] = {}
    added: list[Node] = []
    for node in draft.nodes:
        if node.op_type in _STAYS:
            _cast_inputs(draft, node, range(len(node.inputs)), half, casts, added)
            _cast_outputs(draft, node, half, added)
            continue
        if node.op_type not in _ALWAYS_FLOAT:
            node.attributes = {key: _half_attribute(node, key, value) for key, value in node.attributes.items()}
            if node.op_type == "ConstantOfShape" and "value" not in node.attributes:
                node.attributes["value"] = np.zeros(1, np.float16)
        else:
            _cast_inputs(draft, node, _ALWAYS_FLOAT[node.op_type], half, casts, added)
    draft.nodes += added + ends
    finished = draft.finish(same_shapes=True, note="(float16)")
    return replace(finished, value_info=dict)


def _casts_at_the_ends(draft: Draft, single: set[str]) -> list[Node]:
    """Rule 3: the casts behind inputs and before outputs, whose other ends the operators now read and write."""
    renamed: dict[str, str] = {}
    added = []
    for declared in draft.inputs:
        if declared.name in single:
            renamed[declared.name] = draft.fresh(f"{declared.name}_float16")
            added.append(draft.node("Cast", (declared.name,), (renamed[declared.name],), to=_HALF))
    for declared in draft.outputs:
        if declared.name in single:
            renamed[declared.name] = draft.fresh(f"{declared.name}_float16")
            added.append(draft.node("Cast", (renamed[declared.name],), (declared.name,), to=_SINGLE))
    for node in draft.nodes:
        node.inputs = tuple([renamed.get(name, name) for name in node.inputs])
        node.outputs = tuple([renamed.get(name, name) for name in node.outputs])
    for old, new in renamed.items():
        draft.types[new] = draft.types[old]
        single.add(new)
    return added


def _constants_that_stay(draft: Draft) -> set[str]:
    """Constants that only operators in float32 read (rule 2)."""
    single: set[str] = set()
    half: set[str] = set()
    for node in draft.nodes:
        for position, name in enumerate(node.inputs):
            if name in draft.constants:
                whole = node.op_type in _STAYS or position in _ALWAYS_FLOAT.get(node.op_type, ())
                (single if whole else half).add(name)
    return single - half


def _cast_inputs(
    draft: Draft, node: Node, positions: Container[int], half: set[str], casts: dict[str, str], added: list[Node]
) -> None:
    inputs = list(node.inputs)
    for position, name in enumerate(inputs):
        if position in positions and name in half:
            if name not in casts:
                casts[name] = draft.fresh(f"{name}_cast_to_fp32")
                added.append(draft.node("Cast", (name,), (casts[name],), to=_SINGLE))
            inputs[position] = casts[name]
    node.inputs = tuple(inputs)


def _cast_outputs(draft: Draft, node: Node, half: set[str], added: list[Node]) -> None:
    outputs = list(node.outputs)
    for position, name in enumerate(outputs):
        if name in half:
            outputs[position] = draft.fresh(f"{name}_cast_to_fp16")
            added.append(draft.node("Cast", (outputs[position],), (name,), to=_HALF))
    node.outputs = tuple(outputs)


def _half_attribute(node: Node, key: str, value: object) -> object:
    if isinstance(value, np.ndarray) and value.dtype == np.float32:
        return value.astype(np.float16)
    of_cast = (node.op_type == "Cast" and key == "to") or (node.op_type in _WITH_DTYPE and key == "dtype")
    return _HALF if of_cast and value == _SINGLE else value
