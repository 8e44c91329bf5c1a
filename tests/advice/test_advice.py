"""Advice: what is tried, what is advised, and what a pack cannot judge."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from nnmeter.advice.advice import Advised, advise
from nnmeter.advice.widths import widths_around
from nnmeter.prediction.predict import LatencyPredictor, load_predictor
from nnmeter.report.advice import AdviceReport, stair_words
from nnmeter.report.comparison import format_change
from nnmeter.report.numbers import format_ms
from nnmeter.report.registry import CORE
from nnmeter.transforms import apply
from tests.conftest import REPOSITORY
from tests.transforms.models import Net, residual

PACK = REPOSITORY / "predictors" / "epyc-genoa-onnxruntime1.32-1t"


@pytest.fixture(scope="module")
def predictor() -> LatencyPredictor:
    return load_predictor(PACK)


def test_widths_around_one_are_multiples_of_blocks() -> None:
    assert widths_around(65) == [64, 72]
    assert widths_around(64) == [56, 72]
    assert widths_around(500) == [496, 504, 512, 480, 448]
    assert widths_around(3) == []
    assert widths_around(768, 64) == [704, 832]


def test_a_width_just_above_a_block_is_advised_down_and_up(predictor: LatencyPredictor) -> None:
    """65 channels take as long as 80, in blocks of 16: fewer are faster than in proportion."""
    net = Net([1, 64, 56, 56])
    x = net.add("Relu", "relu", net.conv("wide", "input", 64, 65, 3))
    model = net.model(net.add("GlobalAveragePool", "pool", net.conv("next", x, 65, 64, 3)))
    advised = advise(model, predictor, name="m")
    (best,) = [t for t in advised.advice if t.what == "wide: 65 -> 64 channels"]
    assert best.effect == "function"
    assert 0.1 < 1 - best.comparison.ratio < 0.5
    changed = predictor.predict(apply(model, [best.transform])).latency_ms
    assert best.gain_ms == pytest.approx(advised.prediction.latency_ms - changed)
    low, high = best.to_dict()["gain_interval_ms"]
    assert 0 < low < best.gain_ms < high
    stair = next(s for s in advised.stairs if s.layer == "wide")
    assert [width.channels for width in stair.widths] == [64, 65, 72]
    told = stair_words(stair)
    assert [words.split(":")[0] for words in told.split(", ")] == ["64", "65", "72"]
    saved_ms = stair.widths[1].latency_ms - stair.widths[0].latency_ms
    assert f"({format_change(-saved_ms)}), 65: {format_ms(stair.widths[1].latency_ms)} (now), 72: " in told


@pytest.fixture(scope="module")
def transformer(predictor: LatencyPredictor) -> Advised:
    """Advice for a block whose GELU is exported in a form that is not fused."""
    net = Net([8, 784, 64])
    x = net.linear("up", "input", 64, 256)
    net.weights += [onnx.numpy_helper.from_array(np.float32(v), n) for n, v in (("r", 1.414), ("i", 1.0), ("h", 0.5))]
    gate = net.add("Add", "one", net.add("Erf", "erf", net.add("Div", "div", x, "r")), "i")
    x = net.add("Mul", "gelu", x, net.add("Mul", "half", gate, "h"))
    return advise(net.model(net.linear("down", x, 256, 64)), predictor, name="block|<b>")


def test_advice_comes_with_the_greatest_gain_first(transformer: Advised) -> None:
    gains = [trial.gain_ms for trial in transformer.advice]
    assert gains == sorted(gains, reverse=True)
    assert min(gains) > 0
    kinds = {(trial.what, trial.effect) for trial in transformer.advice}
    assert {("gelu in its usual form", "same"), ("relu for gelu", "function")} <= kinds


def test_what_a_pack_was_not_trained_on_is_not_judged() -> None:
    phone = load_predictor(REPOSITORY / "predictors" / "cortexA76cpu_tflite21")
    advised = advise(residual(), phone)
    assert {trial.what for trial in advised.not_judged} >= {"quantize: qdq", "quantize: dynamic"}
    assert all(trial.judged for trial in advised.advice)


def test_reports_have_the_changes_and_how_to_make_them(transformer: Advised) -> None:
    report = AdviceReport(transformer, 1)
    table, markdown = (CORE.render("advice", report, form) for form in ("table", "md"))
    best = transformer.advice[0].transform.option
    assert f"nnmeter what-if MODEL {best}" in " ".join(table.split())
    assert f"{len(transformer.advice) - 1} more (--top)" in table
    assert f"`{best}`" in markdown
    assert "<b>" not in markdown
