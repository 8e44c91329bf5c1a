"""Attributes of the wrong kind are told by name, and the table of kinds is that of the schemas."""

import pytest
from onnx import defs

from nnmeter.errors import ModelError
from nnmeter.operators.attributes import KINDS
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
