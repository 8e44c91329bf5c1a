"""How sure a difference is: what is shared cancels."""

from __future__ import annotations

from dataclasses import replace
from math import exp, hypot, log

import pytest

from nnmeter import compare
from nnmeter.comparison.comparison import compare_predictions
from nnmeter.comparison.difference import (
    DifferenceModel,
    difference_interval_ms,
    errors_between,
    log_ratio,
    read_model,
)
from nnmeter.errors import NnmeterError
from nnmeter.prediction.predict import LatencyPredictor
from tests.comparison.conftest import make_chain


def test_what_both_have_cancels(predictor: LatencyPredictor) -> None:
    """A layer more among many: the difference is known far better than either time."""
    before = predictor.predict(make_chain((64,) * 6))
    after = predictor.predict(make_chain((64,) * 7))
    found = compare_predictions(before, after)
    own = hypot(*(log(p.interval_ms.high / p.latency_ms) for p in (before, after)))
    assert found.log_ratio.halves[0.9] < 0.5 * own
    assert found.difference_interval_ms.low < found.difference_ms < found.difference_interval_ms.high
    assert found.ratio_interval.low < found.ratio < found.ratio_interval.high


def test_the_terms_are_those_of_the_rules(predictor: LatencyPredictor) -> None:
    """Two models of one kernel each of one kind: shares of 1 and -1."""
    one = predictor.predict(make_chain((16,)))
    conv = next(k for k in one.kernels if k.operator == "Conv")
    assert conv.price is not None and conv.signature is not None
    sigma = conv.price.sigma - conv.price.unsampled_sigma
    wider = replace(conv.signature, outputs=())
    first = replace(one, kernels=(conv,), latency_ms=conv.latency_ms, overhead_ms=0.0)
    second = replace(first, kernels=(replace(conv, signature=wider),))
    errors = errors_between(first, second)
    assert errors.together == pytest.approx(0.0)
    assert errors.apart == pytest.approx(2 * sigma**2)
    assert errors.common == 0.0
    model = DifferenceModel(0.25, 0.3, 0.1, {0.9: 1.0}, {0.9: 1.0}, 0.2)
    assert errors.spread(model) ** 2 == pytest.approx(0.75 * 2 * sigma**2 + errors.short + 0.3**2 + 0.1**2)
    same = errors_between(first, first)
    assert (same.apart, same.common, same.short) == (0.0, 1.0, 0.0)
    assert same.spread(model) == pytest.approx(0.1)
    apart = errors_between(first, replace(first, device="another"))
    assert apart.devices and apart.common == 0.0
    assert apart.together == pytest.approx(2 * sigma**2)


def test_what_was_not_sampled_widens_the_difference_only_where_it_differs(predictor: LatencyPredictor) -> None:
    before, after = predictor.predict(make_chain((16, 16))), predictor.predict(make_chain((16, 16, 16)))
    sampled = log_ratio(before, after).halves[0.9]
    odd = [
        replace(
            p,
            kernels=tuple(
                replace(k, price=replace(k.price, source="fallback", sigma=1.0)) if k.operator == "Conv" else k
                for k in p.kernels
            ),
        )
        for p in (before, after)
    ]
    assert log_ratio(*odd).halves[0.9] > sampled
    assert log_ratio(odd[0], odd[0]).halves[0.9] == pytest.approx(log_ratio(before, before).halves[0.9])


def test_the_verdict_follows_the_interval(predictor: LatencyPredictor) -> None:
    small, wide = predictor.predict(make_chain((16, 16))), predictor.predict(make_chain((128, 128)))
    assert compare_predictions(small, wide).verdict == "slower"
    assert compare_predictions(wide, small).verdict == "faster"
    assert compare_predictions(wide, small).probability_slower < 0.01
    assert compare_predictions(small, small).verdict == "equal"
    close = replace(small, latency_ms=small.latency_ms * 1.001, device="another")
    found = compare_predictions(small, close)
    assert found.verdict == "cannot tell"
    assert 0.5 < found.probability_slower < 0.7


def test_the_interval_of_the_milliseconds_has_the_sign_of_the_verdict(predictor: LatencyPredictor) -> None:
    wide = predictor.predict(make_chain((64,) * 4))
    for share in (0.75, 0.8, 0.85, 0.9, 0.95):
        found = compare_predictions(wide, replace(wide, latency_ms=share * wide.latency_ms, kernels=wide.kernels[:-1]))
        assert (found.difference_interval_ms.high <= 0) == (found.verdict == "faster")


def test_what_both_are_off_by_multiplies_the_difference() -> None:
    """Twice as long to within 10 %, where the first may be off by a factor of 2."""
    low, high = difference_interval_ms(10.0, 2.0, log(1.1), log(2.0))
    assert low == pytest.approx(10 * exp(-hypot(log(10 / (20 / 1.1 - 10)), log(2))))
    assert high == pytest.approx(10 * exp(hypot(log(12 / 10), log(2))))
    assert difference_interval_ms(10.0, 2.0, log(1.1), 0.0) == pytest.approx((20 / 1.1 - 10, 12.0))
    assert difference_interval_ms(20.0, 0.5, log(1.1), 0.0) == pytest.approx((10 / 1.1 - 20, 11.0 - 20))
    low, high = difference_interval_ms(10.0, 1.01, log(1.1), log(2.0))
    assert low < 0 < high


def test_what_ships_was_fitted() -> None:
    model = read_model()
    assert 0 <= model.rho <= 1
    assert set(model.scales) == set(model.device_scales) == {0.5, 0.8, 0.9, 0.95}


def test_python_compares_models_and_predictions(predictor: LatencyPredictor) -> None:
    before, after = make_chain((16, 32)), make_chain((16, 64))
    found = compare(before, after, predictor)
    assert found.verdict == "slower"
    assert str(compare(predictor.predict(before), predictor.predict(after))) == str(found)
    with pytest.raises(NnmeterError, match=r"0\.7 is not calibrated"):
        compare(predictor.predict(before), predictor.predict(after), confidence=0.7)
