"""`nnmeter predict --by`: time by type, operator or module, in every format."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from tests.conftest import make_small_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    made = make_small_model()
    names = ("/stem/conv/Conv", "/stem/act/Relu", "/pool/GlobalAveragePool", "/Flatten", "/=head/fc/Gemm")
    for node, name in zip(made.graph.node, names, strict=True):
        node.name = name
    path = tmp_path / "named.onnx"
    onnx.save(made, path)
    return path


def test_a_tree_of_modules(cli: Callable, model: Path, small_pack: Path) -> None:
    outcome = cli("predict", model, "--device", small_pack, "--by", "module")
    assert outcome.code == 0, outcome.err
    lines = [line.split()[:2] for line in outcome.out.splitlines()]
    at = next(i for i, words in enumerate(lines) if words[:1] == ["stem"])
    assert lines[at + 1] == ["·", "conv"]
    assert any(words == ["(no", "module)"] for words in lines)
    shallow = cli("predict", model, "--device", small_pack, "--by", "module", "--depth", 1)
    assert "· " not in shallow.out
    assert "stem" in shallow.out


@pytest.mark.parametrize("by", ["type", "operator", "module"])
def test_groups_hold_all_kernels_in_every_format(cli: Callable, model: Path, small_pack: Path, by: str) -> None:
    arguments = ("predict", model, "--device", small_pack, "--by", by)
    whole = json.loads(cli("predict", model, "--device", small_pack, "--format", "json").out)
    document = json.loads(cli(*arguments, "--format", "json").out)
    assert (document["by"], document["latency_ms"]) == (by, whole["latency_ms"])
    groups = document["groups"]
    assert sum(group["kernels"] for group in groups) == len(whole["kernels"])
    total = sum(group["latency_ms"] for group in groups) + document["overhead_ms"]
    assert total == pytest.approx(whole["latency_ms"])
    rows = list(csv.DictReader(io.StringIO(cli(*arguments, "--format", "csv").out)))
    assert [int(row["flops"]) for row in rows] == [group["flops"] for group in groups]
    markdown = cli(*arguments, "--format", "md").out
    assert markdown.count("\n| ") == 2 + len(groups)


@pytest.mark.parametrize("by", ["type", "operator", "module"])
@pytest.mark.parametrize("report_format", ["table", "md"])
def test_groups_are_sorted_and_the_rest_is_summed_up(
    cli: Callable, model: Path, small_pack: Path, by: str, report_format: str
) -> None:
    arguments = ("predict", model, "--device", small_pack, "--by", by, "--depth", 1)[: 8 if by == "module" else 6]
    groups = json.loads(cli(*arguments, "--format", "json").out)["groups"]
    by_flops = [group["kernels"] for group in sorted(groups, key=lambda group: -group["flops"])]
    out = cli(*arguments, "--format", report_format, "--sort", "flops", "--top", 1).out
    split = "|" if report_format == "md" else "  "
    rows = [[cell.strip() for cell in line.split(split) if cell.strip()] for line in out.splitlines()]
    first, rest = (row for row in rows if len(row) == 7 and row[1].isdecimal())
    assert first[1] == str(by_flops[0])
    assert rest[:2] == [f"{len(groups) - 1} more", str(sum(by_flops[1:]))]


def test_sorting_is_of_tables(cli: Callable, model: Path, small_pack: Path) -> None:
    outcome = cli("predict", model, "--device", small_pack, "--by", "type", "--sort", "name", "--format", "json")
    assert outcome.code == 2
    assert "--sort and --top are of --format table and md" in outcome.error_line


def test_a_module_is_no_formula(cli: Callable, model: Path, small_pack: Path) -> None:
    out = cli("predict", model, "--device", small_pack, "--by", "module", "--format", "csv").out
    assert "'=head.fc" in out
    assert ",=head" not in out


def test_several_models_are_a_list(cli: Callable, model: Path, small_pack: Path) -> None:
    out = cli("predict", model, model, "--device", small_pack, "--by", "type", "--format", "json").out
    assert [document["by"] for document in json.loads(out)] == ["type", "type"]


def test_depth_is_of_modules(cli: Callable, model: Path, small_pack: Path) -> None:
    outcome = cli("predict", model, "--device", small_pack, "--by", "type", "--depth", 3)
    assert outcome.code == 2
    assert "--depth is of --by module" in outcome.error_line


@pytest.mark.parametrize("by", ["type", "operator", "module"])
def test_a_model_of_which_nothing_is_left_to_run_has_no_groups(cli: Callable, tmp_path: Path, by: str) -> None:
    constant = onnx.helper.make_node("Constant", [], ["y"], value_float=1.0)
    value = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [])
    path = tmp_path / "constant.onnx"
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([constant], "g", [], [value])), path)
    arguments = ("predict", path, "--device", "cortexA76cpu_tflite21", "--by", by)
    outcome = cli(*arguments)
    assert outcome.code == 0, outcome.err
    assert json.loads(cli(*arguments, "--format", "json").out)["groups"] == []
