"""`nnmeter what-if`, `sweep` and `advise` at the command line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nnmeter.formats import read_model


def test_changes_are_made_in_the_order_given(cli: Callable, small_model: Path, small_pack: Path) -> None:
    outcome = cli(
        "what-if", small_model, "--device", small_pack, "--channels", "conv=16", "--batch", 2, "--activation",
        "relu=silu", "--format", "json", "--save", "changed.onnx",
    )  # fmt: skip
    document = json.loads(outcome.out)
    assert [step["label"] for step in document["steps"]] == [
        "as it is", "conv at 16 channels", "batch 2", "silu for relu"
    ]  # fmt: skip
    assert document["steps"][3]["difference"]["verdict"] in ("faster", "slower", "cannot tell")
    changed = read_model("changed.onnx")
    assert changed.inputs[0].dims == (2, 16, 14, 14)
    assert changed.constants["conv.weight"].shape == (16, 16, 3, 3)


def test_what_if_is_a_table_and_markdown(cli: Callable, small_model: Path, small_pack: Path) -> None:
    table = cli("what-if", small_model, "--device", small_pack, "--quantize", "dynamic", "--batch", "4").out
    assert "+ batch 4" in table
    assert "items/s" in table
    markdown = cli("what-if", small_model, "--device", small_pack, "--channels", "conv=8", "--format", "md").out
    assert "| as it is |" in markdown


def test_a_sweep_is_csv_json_and_a_picture(cli: Callable, small_model: Path, small_pack: Path) -> None:
    arguments = ("sweep", small_model, "--over", "batch=1:4:*2", "--device", small_pack, "--format")
    rows = list(csv.DictReader(io.StringIO(cli(*arguments, "csv").out)))
    assert [row["batch"] for row in rows] == ["1", "2", "4"]
    assert len(json.loads(cli(*arguments, "json").out)["points"]) == 3
    assert cli(*arguments, "svg").out.startswith("<svg ")
    assert "most items a second at batch" in cli(*arguments, "table").out


def test_advice_is_json_too(cli: Callable, small_model: Path, small_pack: Path) -> None:
    document = json.loads(cli("advise", small_model, "--device", small_pack, "--format", "json").out)
    assert {layer["name"] for layer in document["layers"]} == {"conv", "fc"}
    assert all(advice["gain_ms"] > 0 for advice in document["advice"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("what-if", "MODEL"), "nothing is to be changed; give for instance --quantize qdq"),
        (("what-if", "MODEL", "--batch", "0"), "'0' is no whole number from 1 on"),
        (("what-if", "MODEL", "--channels", "conv"), "'conv' is not LAYER=N"),
        (("what-if", "MODEL", "--channels", "conv=32"), "'conv' has 32 channels; give another number"),
        (("what-if", "MODEL", "--quantize", "int1"), "there is no precision 'int1'"),
        (("what-if", "MODEL", "--quantize", ""), "there is no precision ''"),
        (("what-if", "MODEL", "--batch", "2", "--save", "no/file.onnx"), "there is no directory no"),
        (("what-if", "absent.onnx", "--batch", "2"), "absent.onnx"),
        (("sweep", "MODEL"), "Missing option '--over'"),
        (("sweep", "MODEL", "--over", "batch=8:1"), "ends before it begins"),
        (("sweep", "MODEL", "--over", "batch=1", "--over", "batch=2"), "'batch' is given twice"),
        (("sweep", "MODEL", "--over", "depth=2"), "no axis 'depth'"),
        (("advise", "absent.onnx"), "absent.onnx"),
    ],
)
def test_bad_input_is_one_line(
    cli: Callable, small_model: Path, small_pack: Path, arguments: tuple[str, ...], said: str
) -> None:
    outcome = cli(*(small_model if word == "MODEL" else word for word in arguments), "--device", small_pack)
    assert outcome.code == 2
    assert said in outcome.error_line
