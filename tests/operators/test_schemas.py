"""What ONNX's schemas demand of nodes, and that the table of them is what its writer makes."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import onnx
import pytest
from click.testing import CliRunner

from nnmeter.graph.ir import Node, TensorType
from nnmeter.operators import schemas
from nnmeter.operators.schemas import Schemas
from tests.conftest import REPOSITORY


def wrong(op: str, dtypes: list[str], version: int = 21, domain: str = "", **attributes: Any) -> str | None:
    names = tuple(f"i{k}" if dtype else "" for k, dtype in enumerate(dtypes))
    kinds = [TensorType(dtype, (2, 2)) if dtype else None for dtype in dtypes]
    return Schemas({domain: version}).wrong(Node(op, domain, "n", names, ("y",), attributes), kinds)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (wrong("CastLike", ["float32"] * 2, 14), "ai.onnx has the operator from its version 15 on"),
        (wrong("ArgMin", ["float32"], 11, select_last_index=1), "an attribute select_last_index, which the operator"),
        (wrong("Cast", ["float32"], 18, to=1, saturate=1), "an attribute saturate, which the operator does not know"),
        (wrong("Cast", ["float32"], 5, to=1), "attribute to is 1, not a word"),
        (wrong("LeakyRelu", ["float32"], alpha=1), "attribute alpha is 1, not a number"),
        (wrong("Transpose", ["float32"], perm=(0, 1.5)), "attribute perm is (0, 1.5), not a list of whole numbers"),
        (wrong("Concat", ["float32"]), "attribute axis is missing"),
        (wrong("Where", ["int8", "float32", "float32"]), "its input 0 is of int8, which the operator does not take"),
        (wrong("ReduceSum", ["bool"]), "its input 0 is of bool, which the operator does not take"),
        (wrong("Add", ["float32", "int64"]), "its inputs are of float32 and int64"),
        (wrong("Add", ["float32", ""]), "input 1 is missing, the operator needs 2"),
        (wrong("Relu", ["float32"] * 2), "it has 2 inputs, the operator takes 1 at most"),
        (wrong("ZipMap", ["int32"], 1, "ai.onnx.ml"), "its input 0 is of int32"),
    ],
)  # fmt: skip
def test_what_a_schema_forbids_is_told(found: str | None, reason: str) -> None:
    assert found is not None
    assert reason in found


@pytest.mark.parametrize(
    "found",
    [
        wrong("Pow", ["float32", "int64"]),
        wrong("Clip", ["float32", "", "float32"]),
        wrong("Relu", ["float32"], _private=1),
        wrong("GroupNormalization", ["float32"] * 3, 18, num_groups=1),
        wrong("Upsample", ["float32"], 7, scales=(1.0, 2.0)),
        wrong("LayerNormalization", ["float32"] * 3, 12),
        wrong("Mystery", ["float32"], 1, "own", anything=1),
    ],
)
def test_what_a_schema_allows_is_not(found: str | None) -> None:
    assert found is None


@pytest.mark.skipif(not onnx.__version__.startswith("1.23."), reason="the table is of onnx 1.23")
def test_the_table_is_what_its_script_writes() -> None:
    script = runpy.run_path(str(REPOSITORY / "benchmarks" / "operator_schemas.py"))
    written = CliRunner().invoke(script["main"], catch_exceptions=False).output
    kept = json.loads(Path(schemas.__file__).with_name("schemas.json").read_text())
    assert {**json.loads(written), "onnx": ""} == {**kept, "onnx": ""}
