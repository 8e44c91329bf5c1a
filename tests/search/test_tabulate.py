"""Tables against full predictions, of real models and of functions whose terms are known."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from nnmeter.errors import NnmeterError
from nnmeter.prediction.predict import LatencyPredictor
from nnmeter.search import LatencyTable, Space, tabulate
from nnmeter.search.interactions import Interactions
from nnmeter.search.tabulate import make_table
from tests.search.conftest import SPACE, build


class Function:
    """A function of a space in the place of predictions."""

    def __init__(self, space: Space, latency: Any) -> None:
        self.space = space
        self.latency = latency
        self.known: set[bytes] = set()

    @property
    def predictions(self) -> int:
        return len(self.known)

    def knows(self, row: np.ndarray) -> bool:
        return row.tobytes() in self.known

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        self.known.update(row.tobytes() for row in rows)
        return np.array([float(self.latency(*map(int, row))) for row in rows])


def gated(size: int, depth: int, *widths: int) -> float:
    """Blocks that depth leaves out, which cost by the size, their width and that of the block before."""
    total, before = 1.0 + size, 1
    for layer in range(depth + 1):
        width = widths[layer] + 1
        total += (size + 1) ** 2 * width * before * 0.01 + 0.1 * ((width + before) % 3)
        before = width
    return total


GATED = Space({"size": range(4), "depth": range(5), **{f"width{i}": range(4) for i in range(5)}})


def all_rows(space: Space) -> np.ndarray:
    return np.array(list(product(*map(range, space.sizes))))


def test_a_table_of_real_models_equals_their_predictions(table: LatencyTable, predictor: LatencyPredictor) -> None:
    rows = all_rows(table.space)
    predicted = np.array([predictor.predict(build(table.space.candidate(row))).latency_ms for row in rows])
    assert len(rows) == 72
    np.testing.assert_allclose(table.predict(rows), predicted, rtol=1e-6)
    assert table.device == "epyc-genoa-onnxruntime1.32-1t"
    assert table.verified.within
    assert table.verified.candidates == 30


def test_terms_are_found_that_need_five_choices_at_once() -> None:
    table = make_table(Function(GATED, gated), "here", tolerance=0.002, verify=500, budget=20_000)
    rows = GATED.sample(2000, np.random.default_rng(7))
    exact = np.array([gated(*map(int, row)) for row in rows])
    error = np.abs(table.predict(rows) / exact - 1)
    assert error.max() <= 0.002
    assert table.verified.largest_error <= 0.002
    errors = [step.largest_error for step in table.steps]
    assert errors[0] > 0.05
    assert [step.order for step in table.steps][:2] == [1, 2]


def test_a_sum_needs_no_pairs() -> None:
    space = Space({"a": range(5), "b": range(6), "c": range(7)})
    table = make_table(Function(space, lambda a, b, c: 1 + a * a + 3 * b + c**0.5), "here")
    assert [term.choices for term in table.terms] == [(0,), (1,), (2,)]
    assert table.verified.largest_error < 1e-6


def test_what_the_budget_does_not_reach_is_said() -> None:
    space = Space({f"c{i}": range(6) for i in range(8)})
    random = np.random.default_rng(1).random([6] * 8)
    table = make_table(Function(space, lambda *row: 1 + random[row]), "here", budget=500, verify=100)
    assert not table.verified.within
    assert table.verified.largest_error > 0.01
    assert table.steps[-1].predictions <= 700


def test_pairs_that_matter_together_are_those_of_the_function() -> None:
    oracle = Function(GATED, gated)
    found = Interactions(oracle)
    for seed in range(6):
        random = np.random.default_rng(seed)
        anchor = GATED.sample(1, random)[0]
        found.look_at(anchor, (anchor + 1) % GATED.sizes)
    assert (0, 1) in found.edges(0.0)
    assert (2, 3) in found.edges(0.0)
    assert (2, 4) not in found.edges(0.0)
    assert len(found.edges(1e9)) == 0


def test_a_space_of_one_candidate() -> None:
    space = Space({"only": ["x"]})
    table = make_table(Function(space, lambda only: 3.0), "here")
    assert table.predict({"only": "x"}).tolist() == pytest.approx([3.0])
    assert table.verified.candidates == 1


def test_the_same_seed_makes_the_same_table() -> None:
    first, second = (make_table(Function(GATED, gated), "here", seed=3, verify=100) for _ in range(2))
    assert first.steps == second.steps
    assert all((a.latency_ms == b.latency_ms).all() for a, b in zip(first.terms, second.terms, strict=True))


def test_a_candidate_that_cannot_be_built_is_named(predictor: LatencyPredictor) -> None:
    def broken(candidate: dict[str, Any]) -> Any:
        return build(candidate) if candidate["width1"] != 64 else b"no model"

    with pytest.raises(NnmeterError, match=r"candidate size=\d+, depth=\d, width1=64.*ONNX"):
        tabulate(SPACE, broken, predictor)


@pytest.mark.parametrize(
    ("setting", "said"),
    [({"tolerance": 0.0}, "tolerance of 0.0"), ({"verify": 0}, "1 or more"), ({"budget": -1}, "1 or more")],
)
def test_impossible_settings(predictor: LatencyPredictor, setting: dict[str, Any], said: str) -> None:
    with pytest.raises(NnmeterError, match=said):
        tabulate(SPACE, build, predictor, **setting)
