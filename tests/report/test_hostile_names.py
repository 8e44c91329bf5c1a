"""Names in a file are of whoever made it: reports show them and nothing else happens."""

from __future__ import annotations

import csv as csv_module
import io
import json
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from nnmeter.graph.notes import Note
from nnmeter.prediction.predict import load_predictor
from nnmeter.prediction.prediction import Prediction
from nnmeter.report import render
from nnmeter.report.registry import CORE, Layout
from tests.conftest import make_small_model

CLEAR_SCREEN = "\x1b[2J\x1b]0;owned\x07"


@pytest.fixture(scope="module")
def prediction(small_pack: Path) -> Prediction:
    model = make_small_model()
    for node in model.graph.node:
        node.name += CLEAR_SCREEN + "\u202e|<script>\x9b31m"
    return load_predictor(small_pack).predict(onnx.load_from_string(model.SerializeToString()))


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("kind", [f for f in CORE.formats("predictions") if f != "json"])
def test_control_characters_do_not_reach_the_terminal(prediction: Prediction, kind: str, several: bool) -> None:
    hostile = replace(prediction, model=f"m{CLEAR_SCREEN}", warnings=(Note(f"w{CLEAR_SCREEN}", "unused"),))
    text = render([hostile], kind, Layout(several, 300))
    assert "\x1b" not in text
    assert "\x9b" not in text
    assert "\u202e" not in text
    assert "\N{REPLACEMENT CHARACTER}" in text or "\\u001b" in text


def test_a_coloured_table_has_its_own_styles_only(prediction: Prediction) -> None:
    hostile = replace(prediction, model=f"m{CLEAR_SCREEN}")
    text = render([hostile], "table", Layout(False, 300, True))
    assert "\x1b[1m" in text
    assert "\x1b[2J" not in text
    assert "\x1b]" not in text


def test_markdown_takes_no_markup_from_names(prediction: Prediction) -> None:
    assert "<script>" not in render([prediction], "md", Layout(False, 100))


def test_json_keeps_names_as_they_are(prediction: Prediction) -> None:
    text = render([prediction], "json", Layout(False, 100))
    assert "\x1b" not in text
    assert any(CLEAR_SCREEN in kernel["name"] for kernel in json.loads(text)["kernels"])


@pytest.mark.parametrize("first", ["=", "+", "-", "@"])
def test_no_cell_of_a_csv_file_is_a_formula(prediction: Prediction, first: str) -> None:
    name = f'{first}cmd|"/c calc"!A0'
    rows = list(csv_module.reader(io.StringIO(render([replace(prediction, model=name)], "csv", Layout(False, 100)))))
    assert rows[1][0] == f"'{name}"
