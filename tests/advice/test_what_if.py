"""What-if: before, after each change, and the difference."""

from __future__ import annotations

from pathlib import Path

import pytest

from nnmeter.advice.what_if import AS_IT_IS, what_if
from nnmeter.errors import NnmeterError
from nnmeter.graph.input_sizes import InputSizes
from nnmeter.prediction.predict import LatencyPredictor, load_predictor
from nnmeter.transforms import Batch, Channels, Quantize
from tests.conftest import make_small_model
from tests.transforms.models import residual


@pytest.fixture(scope="module")
def predictor(small_pack: Path) -> LatencyPredictor:
    return load_predictor(small_pack)


def test_each_step_stands_on_the_one_before(predictor: LatencyPredictor) -> None:
    (found,) = what_if(residual(), [Channels("first", 16), Batch(4)], [predictor])
    assert [step.label for step in found.steps] == [AS_IT_IS, "first at 16 channels", "batch 4"]
    assert [step.items for step in found.steps] == [1, 1, 4]
    alone = [predictor.predict(residual(*sizes)).latency_ms for sizes in ((16, 24), (16, 16), (16, 16, 4))]
    assert [step.prediction.latency_ms for step in found.steps] == pytest.approx(alone)
    assert found.before.comparison is None
    assert found.after.comparison is not None
    assert found.after.comparison.difference_ms == pytest.approx(alone[2] - alone[0])
    assert found.after.items_per_second == pytest.approx(4000 / alone[2])


def test_sizes_of_free_dimensions_serve_until_a_change_fixes_them(predictor: LatencyPredictor) -> None:
    sizes = InputSizes(dims={"batch": 2})
    (found,) = what_if(make_small_model("batch"), [Quantize("dynamic"), Batch(8)], [predictor], sizes)
    assert [step.items for step in found.steps] == [2, 2, 8]
    assert not any(w.code == "unused" for step in found.steps for w in step.prediction.warnings)


def test_nothing_to_change_is_an_error(predictor: LatencyPredictor) -> None:
    with pytest.raises(NnmeterError, match="nothing is to be changed; give a transform"):
        what_if(residual(), [], [predictor])
    with pytest.raises(NnmeterError, match="dimension 'batch' is given several sizes, \\[1, 2\\]"):
        what_if(make_small_model("batch"), [Batch(2)], [predictor], InputSizes(dims={"batch": [1, 2]}))
