"""Predictors of older schemas say the same in this one."""

from __future__ import annotations

import json
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnmeter.errors import DeviceError
from nnmeter.kernels.anchor import Anchor, Kind
from nnmeter.predictor import read_predictor_of, write_predictor
from nnmeter.predictor.kernel_predictor import LARGEST_DEVIATION, Share
from nnmeter.predictor.price_correction import Correction, OperatorCorrection
from nnmeter.predictor.stored import SCHEMA_VERSION
from nnmeter.predictor.trees import TreeEnsemble
from tests.conftest import make_small_predictor
from tests.predictor.conftest import convolution

CONV, GEMM = Anchor("Conv", "float32"), Anchor("Gemm", "float32")


def older(directory: Path, version: int, change: Any = lambda document: None) -> Path:
    """The small predictor as schema 1 or 2 had it, with a correction."""
    correction = Correction((0.1,) * 6, {}, {Kind("matmul", GEMM): OperatorCorrection(0.2, 0.1, True, GEMM)}, {}, 0.1)
    write_predictor(replace(make_small_predictor(), overhead_ms=0.5, corrections=(correction,)), directory)
    path = directory / "predictor.json"
    document = json.loads(path.read_text())
    document["schema_version"] = version
    document["inference_ms"] = document.pop("overhead_ms")
    document["roofline"]["overhead_ms"] = document["roofline"].pop("launch_ms")
    document["anchors"] = {
        f"{family}:{name}": [family, *entry[:3], entry[3][:4], entry[4][:4]]
        for name, families in document["anchors"].items()
        for family, entry in families.items()
    }
    document["corrections"][0]["operators"] = {"matmul:Gemm|float32": [0.2, 0.1, 1, "matmul:Gemm|float32"]}
    change(document)
    path.write_text(json.dumps(document))
    return directory


@pytest.mark.parametrize("version", [1, 2])
def test_an_older_predictor_is_read_and_written_anew(tmp_path: Path, version: int) -> None:
    found = read_predictor_of(older(tmp_path, version))
    assert (found.overhead_ms, found.roofline.launch_ms) == (0.5, 0.001)
    sampled = found.vocabulary[Kind("convolution", CONV)]
    assert (sampled.count, sampled.low[-1], sampled.high[-1]) == (10, -inf, inf), "the leading size is not known"
    assert found.corrections[0].operators[Kind("matmul", GEMM)].alias == GEMM
    write_predictor(found, tmp_path)
    assert json.loads((tmp_path / "predictor.json").read_text())["schema_version"] == SCHEMA_VERSION
    again = read_predictor_of(tmp_path)
    assert (again.vocabulary, again.corrections, again.roofline) == (
        found.vocabulary,
        found.corrections,
        found.roofline,
    )


def test_families_of_one_operator_stay_apart(tmp_path: Path) -> None:
    def grouped_too(document: dict[str, Any]) -> None:
        dense = document["anchors"]["convolution:Conv|float32"]
        document["anchors"]["matmul:Conv|float32"] = ["matmul", 3.0, *dense[2:]]

    found = read_predictor_of(older(tmp_path, 2, grouped_too)).vocabulary
    assert {kind.family: entry.code for kind, entry in found.items() if kind.anchor == CONV} == {
        "convolution": 0.0,
        "matmul": 3.0,
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["anchors"].update({"Gemm|float32": ["matmul", 0, 1, 0, [0] * 5, [1] * 5]}), "has no family"),
        (lambda d: d["anchors"].update({"pooling:A|b": ["matmul", 0, 1, 0, [0] * 5, [1] * 5]}), "says that its family"),
        (lambda d: d["anchors"].update({"matmul:A|b": [0, 1, 0]}), "wrong length"),
        (lambda d: d.pop("inference_ms"), "overhead_ms is no number"),
        (
            lambda d: d["corrections"][0]["operators"].update({"matmul:A|b": [0, 0, 0, "pooling:A|b"]}),
            "of another family",
        ),
    ],
)
def test_an_older_predictor_that_contradicts_itself_is_refused(tmp_path: Path, change: Any, words: str) -> None:
    with pytest.raises(DeviceError, match=words):
        read_predictor_of(older(tmp_path, 2, change))


def test_a_pack_of_fewer_features_is_read_and_one_of_others_is_refused(tmp_path: Path) -> None:
    write_predictor(make_small_predictor(), tmp_path)
    path = tmp_path / "predictor.json"
    document = json.loads(path.read_text())
    names = document["features"]["matmul"]
    document["features"]["matmul"] = names[:-4]
    path.write_text(json.dumps(document))
    assert read_predictor_of(tmp_path).vocabulary == make_small_predictor().vocabulary
    for others in ([*names, "strange"], names[::-1], [], "anchor", 7):
        document["features"]["matmul"] = others
        path.write_text(json.dumps(document))
        with pytest.raises(DeviceError, match="trained on other features"):
            read_predictor_of(tmp_path)


def test_learned_deviations_are_kept_and_take_the_place_of_those_of_kinds(tmp_path: Path) -> None:
    tree = TreeEnsemble(
        np.array([1], np.uint8), np.array([20.0], np.float32), np.array([0], np.uint8), np.array([1], np.uint8),
        np.array([0.1, 9.0], np.float32), np.array([1], np.uint8), bias=0.2,
    )  # fmt: skip
    known = replace(make_small_predictor(), deviations={"convolution": tree})
    mixed = replace(known, shares=(Share(known, 0.5),))
    write_predictor(mixed, tmp_path)
    found = read_predictor_of(tmp_path)
    for predictor in (found, found.shares[0].predictor):
        small, large = (predictor.price([convolution(c, c, c)])[0].sigma for c in (4, 256))
        assert small == pytest.approx(0.3)
        assert large == LARGEST_DEVIATION, "kept within what a deviation can be"
        assert predictor.deviations.keys() == {"convolution"}


@pytest.mark.parametrize("deviations", [{"fallback": {"sizes": [0, 0], "bias": 0.0}}, {"no": {}}, 3, {"matmul": 1}])
def test_damaged_deviations_are_refused(tmp_path: Path, deviations: Any) -> None:
    write_predictor(make_small_predictor(), tmp_path)
    path = tmp_path / "predictor.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "deviations": deviations}))
    with pytest.raises(DeviceError):
        read_predictor_of(tmp_path)
