"""ONNX's own models, read, detected and priced: a part of what `benchmarks/onnx_suite.py` does with all of them."""

import pytest

import nnmeter
from benchmarks.onnx_suite import Case, Tally, cases, run_case
from nnmeter.errors import NnmeterError
from tests.binding.test_inference import onnx_cases
from tests.conftest import REPOSITORY

PACK = REPOSITORY / "predictors" / "xeon-icelake-onnxruntime1.32-1t"


@pytest.fixture(scope="module")
def predictor() -> nnmeter.LatencyPredictor:
    return nnmeter.load_predictor(PACK)


@pytest.mark.parametrize("kind", ["simple", "light", "pytorch-converted", "pytorch-operator"])
def test_models_that_onnx_carries_are_priced(kind: str, predictor: nnmeter.LatencyPredictor) -> None:
    tally = Tally()
    for case in cases((kind,)):
        run_case(case, predictor, tally, with_shapes=False)
    assert tally.models[kind] >= 9
    assert not tally.tracebacks
    assert all("train a model" in reason for reason in tally.refusals.values())
    assert len(tally.refusals) <= 2  # of the simple ones, gradients


def test_operators_are_priced_with_the_shapes_that_the_runtime_computes(predictor: nnmeter.LatencyPredictor) -> None:
    pytest.importorskip("onnxruntime")
    tally = Tally()
    for case in onnx_cases()[::6]:
        run_case(Case("node", case.name, case.model, *case.data_sets[0]), predictor, tally, with_shapes=True)
    assert tally.models["node"] > 200
    assert not tally.tracebacks
    assert all("ai.onnx.preview" in reason for reason in tally.refusals.values())
    assert tally.priced["node"] >= 0.98 * tally.models["node"]
    assert tally.compared["node"] > 500
    assert not tally.mismatches


def test_a_traceback_would_be_counted(predictor: nnmeter.LatencyPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    case = next(iter(cases(("light",))))

    def fails(*args: object, **kwargs: object) -> None:
        raise KeyError("x")

    tally = Tally()
    monkeypatch.setattr("benchmarks.onnx_suite.bind_shapes", fails)
    run_case(case, predictor, tally, with_shapes=False)
    assert list(tally.tracebacks.values()) == ["KeyError: 'x'"]
    assert not issubclass(KeyError, NnmeterError)
