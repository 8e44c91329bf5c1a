"""Attributes of the wrong kind are told by name, and the table of kinds is that of the schemas."""

import numpy as np
import pytest
from onnx import defs, helper

from nnmeter.errors import ModelError
from nnmeter.graph.ir import Node
from nnmeter.operators.attributes import KINDS, WORDS, wrong_attribute
from tests.binding.making import types_of

_TYPES = {int: {"INT"}, tuple: {"INTS"}, str: {"STRING"}}


def test_kinds_are_those_of_the_schemas() -> None:
    checked = 0
    for schema in defs.get_all_schemas_with_history():
        for name, attribute in schema.attributes.items():
            if name in KINDS and "preview" not in schema.domain:
                checked += 1
                assert attribute.type.name in _TYPES[KINDS[name]], (schema.name, name)
    assert checked > 500


@pytest.mark.parametrize(
    ("op", "attributes", "message"),
    [
        ("Softmax", {"axis": "x"}, "attribute axis is 'x', not a whole number"),
        ("Softmax", {"axis": 1.5}, "attribute axis is 1.5, not a whole number"),
        ("Transpose", {"perm": [0.5, 1.5]}, r"attribute perm is \(0.5, 1.5\), not a list of whole numbers"),
        ("Transpose", {"perm": 1}, "attribute perm is 1, not a list of whole numbers"),
        ("MaxPool", {"kernel_shape": [3], "auto_pad": 1}, "attribute auto_pad is 1, not a word"),
    ],
)
def test_a_wrong_kind_is_an_error(op: str, attributes: dict, message: str) -> None:
    with pytest.raises(ModelError, match=rf"node 'node' \({op}\): {message}"):
        types_of(op, [(2, 3, 4)], attributes)


@pytest.mark.parametrize(
    ("op", "attributes", "message"),
    [
        (
            "Conv",
            {"auto_pad": "SAME"},
            "attribute auto_pad is 'SAME', not one of NOTSET, SAME_LOWER, SAME_UPPER, VALID",
        ),
        ("MaxPool", {"auto_pad": "same_upper"}, "attribute auto_pad is 'same_upper', not one of NOTSET, "),
        ("Gelu", {"approximate": "erf"}, "attribute approximate is 'erf', not one of none, tanh"),
        ("CumSum", {"reverse": 2}, "attribute reverse is 2, not one of 0, 1"),
        ("DepthToSpace", {"mode": ""}, "attribute mode is '', not one of CRD, DCR"),
        ("Resize", {"mode": "bilinear"}, "attribute mode is 'bilinear', not one of cubic, linear, nearest"),
        ("Resize", {"nearest_mode": "simple"}, "attribute nearest_mode is 'simple', not one of ceil, "),
        ("Resize", {"nearest_mode": "simple", "mode": "linear"}, None),
        ("Conv", {"auto_pad": ""}, None),
        ("CumSum", {"reverse": 1, "exclusive": 0}, None),
    ],
)
def test_a_word_that_the_operator_does_not_know_is_an_error(op: str, attributes: dict, message: str | None) -> None:
    said = wrong_attribute(Node(op, "", "node", (), ("y",), attributes))
    assert said == message if said is None or message is None else said.startswith(message)


def test_words_of_other_domains_are_their_own() -> None:
    assert wrong_attribute(Node("Conv", "com.microsoft", "node", (), ("y",), {"auto_pad": "SAME"})) is None


def test_words_are_of_attributes_that_the_schemas_have_and_their_defaults_are_among_them() -> None:
    for op, words in WORDS.items():
        for name, allowed in words.items():
            found = [s.attributes[name] for s in defs.get_all_schemas_with_history() if s.name == op and not s.domain
                     and name in s.attributes]  # fmt: skip
            assert found, (op, name)
            for attribute in found:
                if attribute.default_value.type and (op, name) != ("GRU", "direction"):  # once it was misspelt there
                    default = helper.get_attribute_value(attribute.default_value)
                    assert (default.decode() if isinstance(default, bytes) else default) in allowed, (op, name)


def test_a_model_with_a_word_that_is_none_is_refused() -> None:
    for op, inputs, attributes in (
        ("Conv", [(1, 4, 8, 8), (4, 4, 3, 3)], {"auto_pad": "SAME"}),
        ("CumSum", [(2, 3), np.array(1)], {"reverse": 2}),
        ("Pad", [(2, 3), np.array([0, 0, 1, 1])], {"mode": "cubic"}),
    ):
        with pytest.raises(ModelError, match=rf"node 'node' \({op}\): attribute .*, not one of "):
            types_of(op, inputs, attributes)
