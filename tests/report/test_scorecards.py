"""Every figure of a scorecard is in every format, and an old scorecard is still shown."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from nnmeter.lab.evaluation.kernel_scores import FarOff, KernelScore, KernelScores
from nnmeter.lab.evaluation.scorecard import ScoredModel, score_models
from nnmeter.report.registry import CORE


def make_scorecard() -> dict[str, Any]:
    """Five models of two families, with all that a scorecard can hold."""
    rows = [
        ScoredModel(
            f"net{i}",
            "wide" if i < 3 else "deep",
            measured_ms=10.0 * (i + 1),
            halves_ms=(10.0, 10.3),
            predicted_ms=10.0 * (i + 1) * factor,
            low_ms=(10.5 if i == 3 else 9.0) * (i + 1),
            high_ms=11.5 * (i + 1),
            fallback=0.01,
            baselines_ms={"flops": 25.0 * (i + 1), "nearest_kernel": 11.0 * (i + 1)},
        )
        for i, factor in enumerate((1.02, 0.96, 1.12, 1.31, 0.99))
    ]
    score = KernelScore(10, 5, 97.5, 12.3, -4.5, 12.0)
    far_off = [FarOff("net3", "Resize", 2, 7.25, 0.3, 0.9)]
    kernels = KernelScores(score, {"convolution": score}, {"nchwc.Conv+Relu": score}, far_off)
    return score_models("cpu-1t", "by family", "rules", 0.9, rows, kernels, ["measured elsewhere"]).to_dict()


@pytest.fixture
def scorecard() -> dict[str, Any]:
    return make_scorecard()


@pytest.mark.parametrize("report_format", ["table", "md"])
def test_all_figures_are_shown(scorecard: dict[str, Any], report_format: str) -> None:
    text = " ".join(CORE.render("scorecard", scorecard, report_format).split())
    for part in (
        "cpu-1t",
        "by family",
        "90 % intervals hold 80.0 % of the models",
        "mean half width",
        "99.0 % of the time by trained predictors, 1.0 % by the fallback",
        "by MAPE: deep, 16.0 % (2 models)",
        "of those with three models or more: wide, 66.7 % of 3 models",
        "RMSPE",
        "tau",
        "noise floor",
        "FLOPs only",
        "nearest profiled kernel",
        "nchwc.Conv+Relu",
        "all kernels",
        "-4.5 %",
        "measured elsewhere",
        "kernels far off",
        "Resize",
        "7.2 %",
    ):
        assert part in text, part


def test_baselines_stand_between_the_predictor_and_the_noise_floor_weak_to_strong(scorecard: dict[str, Any]) -> None:
    lines = CORE.render("scorecard", scorecard, "table").splitlines()
    names = [line.split("  ")[0] for line in lines]
    places = [names.index(name) for name in ("nnmeter", "FLOPs only", "nearest profiled kernel", "noise floor")]
    assert places == sorted(places)


def test_json_is_the_scorecard_and_csv_has_a_row_a_model(scorecard: dict[str, Any]) -> None:
    assert json.loads(CORE.render("scorecard", scorecard, "json")) == scorecard
    rows = list(csv.DictReader(io.StringIO(CORE.render("scorecard", scorecard, "csv"))))
    assert [row["model"] for row in rows] == [f"net{i}" for i in range(5)]
    assert rows[0]["nearest_kernel_ms"] == "11.0"
    assert (rows[0]["half_a_ms"], rows[0]["half_b_ms"]) == ("10.0", "10.3")


@pytest.mark.parametrize("report_format", ["table", "json", "csv", "md"])
def test_an_older_scorecard_is_shown(scorecard: dict[str, Any], report_format: str) -> None:
    for name in ("kernels", "notes", "trained", "worst_large_family", "noise_floor"):
        del scorecard[name]
    assert CORE.render("scorecard", scorecard, report_format)
    assert CORE.render("scorecard", {"within_10": 90.0}, report_format)


@pytest.mark.parametrize("report_format", ["table", "md"])
def test_families_that_nobody_named_are_not_shown(scorecard: dict[str, Any], report_format: str) -> None:
    scorecard["families"] = {"": next(iter(scorecard["families"].values()))}
    scorecard["worst_family"], scorecard["worst_large_family"] = "", ""
    text = CORE.render("scorecard", scorecard, report_format)
    assert "worst family" not in text
    assert not any(line.lstrip("| ").startswith("family") for line in text.splitlines())
