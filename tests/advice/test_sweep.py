"""Sweeps: ranges of sizes, points, and the picture."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from nnmeter.advice.sweep import parse_sizes, sweep
from nnmeter.errors import NnmeterError
from nnmeter.prediction.predict import LatencyPredictor, load_predictor
from nnmeter.report.registry import CORE
from tests.conftest import make_small_model
from tests.transforms.models import residual


@pytest.fixture(scope="module")
def predictor(small_pack: Path) -> LatencyPredictor:
    return load_predictor(small_pack)


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("1,2,8", (1, 2, 8)),
        ("1:32:*2", (1, 2, 4, 8, 16, 32)),
        ("3:20:*3", (3, 9)),
        ("128:256:32", (128, 160, 192, 224, 256)),
        ("2:5", (2, 3, 4, 5)),
        ("1,4:8:4,4", (1, 4, 8)),
        ("0,64", (0, 64)),
        ("0:64:32", (0, 32, 64)),
    ],
)
def test_sizes_are_lists_and_ranges(text: str, sizes: tuple[int, ...]) -> None:
    assert parse_sizes(text) == sizes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'' is no size"),
        ("-1", "'-1' is no size"),
        ("1:8:0", "'0' is no size; give a whole number from 1 on"),
        ("0:8:*2", "cannot grow from 0 by a factor"),
        ("1:", "'' is no size"),
        ("1:2:3:4", "is no range"),
        ("1:8:*1", "cannot grow by a factor of 1"),
        ("8:1", "ends before it begins"),
        ("1:99999999", "more than 10000 sizes"),
        ("two", "'two' is no size"),
        ("٣", "is no size"),
    ],
)
def test_what_is_no_range_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_sizes(text)


def test_points_are_all_combinations_by_device(predictor: LatencyPredictor) -> None:
    found = sweep(make_small_model("batch"), {"batch": (1, 4), "resolution": (14, 28)}, [predictor, predictor])
    assert [(dict(p.sizes), p.items) for p in found.points[:4]] == [
        ({"batch": 1, "resolution": 14}, 1), ({"batch": 1, "resolution": 28}, 1),
        ({"batch": 4, "resolution": 14}, 4), ({"batch": 4, "resolution": 28}, 4),
    ]  # fmt: skip
    assert len(found.points) == 8
    alone = predictor.predict(make_small_model(4)).latency_ms
    assert found.points[2].prediction.latency_ms == pytest.approx(alone)
    assert found.points[2].items_per_second == pytest.approx(4000 / alone)
    assert found.best(predictor.device).items == 4


def test_any_dimension_is_an_axis_by_its_number(predictor: LatencyPredictor) -> None:
    found = sweep(make_small_model("batch"), {"input.3": (28, 56), "batch": (2,)}, [predictor])
    assert [(dict(p.sizes), p.items) for p in found.points] == [
        ({"input.3": 28, "batch": 2}, 2), ({"input.3": 56, "batch": 2}, 2)
    ]  # fmt: skip
    assert found.points[0].prediction.latency_ms < found.points[1].prediction.latency_ms


def test_sizes_that_a_model_does_not_take_are_passed_over(predictor: LatencyPredictor) -> None:
    found = sweep(residual(), {"resolution": (8, 12)}, [predictor])
    assert [p.sizes["resolution"] for p in found.points] == [8]
    assert "does not take pictures of 12 x 12" in found.passed_over[0]
    with pytest.raises(NnmeterError, match="does not take pictures of 12 x 12"):
        sweep(residual(), {"resolution": (12,)}, [predictor])


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ({}, "nothing is swept over"),
        ({"batch": ()}, "axis 'batch' is given no size"),
        ({"depth": (1,)}, r"no axis 'depth'; take batch, resolution, sequence, or a dimension .* number, as input\.3"),
        ({"batch": range(1, 200), "resolution": range(1, 200)}, "39601 combinations of sizes are too many"),
    ],
)
def test_axes_that_make_no_sense_are_refused(predictor: LatencyPredictor, axes: dict, said: str) -> None:
    with pytest.raises(NnmeterError, match=said):
        sweep(residual(), axes, [predictor])


@pytest.mark.parametrize("model", [residual(), make_small_model(batch="n")])
def test_a_batch_of_0_is_refused_whether_free_or_fixed(predictor: LatencyPredictor, model: object) -> None:
    with pytest.raises(NnmeterError, match="a batch of 0 is none"):
        sweep(model, {"batch": (0,)}, [predictor])


@pytest.mark.parametrize("sizes", [{"dims": {"n": 0}}, {"shapes": {"input": (0, 16, 14, 14)}}])
def test_a_batch_of_0_is_no_prediction_either(predictor: LatencyPredictor, sizes: dict) -> None:
    with pytest.raises(NnmeterError, match="a batch of 0 is none"):
        predictor.predict(make_small_model(batch="n"), **sizes)
    with pytest.raises(NnmeterError, match="a batch of 0 is none"):
        sweep(make_small_model(batch="n"), {"n": (0,)}, [predictor])


def test_the_picture_is_svg_with_a_line_a_device_and_a_mark_a_point(predictor: LatencyPredictor) -> None:
    found = sweep(make_small_model("<batch>"), {"batch": (1, 2, 4, 8), "resolution": (14, 28)}, [predictor], name="<m>")
    picture = CORE.render("sweep", found, "svg")
    root = ElementTree.fromstring(picture)
    name = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{name}polyline")) == 4
    assert len(root.findall(f"{name}circle")) == 16
    assert len(root.findall(f"{name}polygon")) == 2
    assert "&lt;m&gt;" in picture
    assert "nan" not in picture
    assert picture == CORE.render("sweep", found, "svg")


def test_one_point_is_a_picture_too(predictor: LatencyPredictor) -> None:
    root = ElementTree.fromstring(CORE.render("sweep", sweep(residual(), {"batch": (2,)}, [predictor]), "svg"))
    assert len(root.findall("{http://www.w3.org/2000/svg}circle")) == 2
