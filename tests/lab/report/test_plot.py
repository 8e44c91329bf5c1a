"""A scorecard is drawn as PNG or SVG, the same bytes every time."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from nnmeter.errors import NnmeterError
from nnmeter.lab.report.plot import check_plot_file, error_curves, plot_scorecard
from tests.report.test_scorecards import make_scorecard

matplotlib = pytest.importorskip("matplotlib")


def test_svg_is_the_same_every_time_whatever_the_user_has_set(tmp_path: Path) -> None:
    first, second = tmp_path / "a.svg", tmp_path / "b.svg"
    plot_scorecard(make_scorecard(), first)
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9, "axes.grid": False}):
        plot_scorecard(make_scorecard(), second)
        assert matplotlib.rcParams["font.size"] == 30, "the user's settings are as they were"
    assert first.read_bytes() == second.read_bytes()
    text = first.read_text(encoding="utf-8")
    assert ElementTree.fromstring(text).tag.endswith("svg")
    assert not re.search(r"<dc:date>|20\d\d-\d\d-\d\d", text)


def test_png_is_an_image(tmp_path: Path) -> None:
    plot_scorecard(make_scorecard(), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_models_far_off_and_families_beyond_the_palette_are_drawn(tmp_path: Path) -> None:
    scorecard = make_scorecard()
    template = scorecard["models"][0]
    scorecard["models"] = [
        {
            **template,
            "model": f"m{i}",
            "family": f"family {i}",
            "predicted_ms": 40.0 if i == 3 else 10.0,
            "halves_ms": None,
        }
        for i in range(70)
    ]
    plot_scorecard(scorecard, tmp_path / "a.svg")
    assert (tmp_path / "a.svg").stat().st_size > 10_000


def test_curves_are_sorted_errors_of_predictor_noise_and_baselines() -> None:
    models: list[dict[str, Any]] = make_scorecard()["models"]
    curves = error_curves(models)
    assert list(curves) == ["nnmeter", "noise floor", "nearest_kernel", "flops"]
    assert curves["nnmeter"] == pytest.approx([1.0, 2.0, 4.0, 12.0, 31.0])
    assert curves["nearest_kernel"] == pytest.approx([10.0] * 5)


@pytest.mark.parametrize("name", ["plot.pdf", "plot", "plot.png.txt"])
def test_another_suffix_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(NnmeterError, match=r"\.png or \.svg"):
        check_plot_file(tmp_path / name)


def test_a_scorecard_without_models_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NnmeterError, match="no single models"):
        plot_scorecard({**make_scorecard(), "models": []}, tmp_path / "a.svg")
    assert not (tmp_path / "a.svg").exists()
