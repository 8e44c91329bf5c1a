"""What a table answers: latencies, expected latencies, gradients."""

from __future__ import annotations

import numpy as np
import pytest

from nnmeter.errors import NnmeterError
from nnmeter.search import LatencyTable, Space, Term, Verified

SPACE = Space({"a": [1, 2], "b": ["x", "y", "z"], "c": [(1, 1), (2, 2)]})
TERMS = (
    Term((), np.array(0.5)),
    Term((0,), np.array([1.0, 2.0])),
    Term((0, 1), np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 7.0]])),
    Term((0, 1, 2), np.arange(12.0).reshape(2, 3, 2) ** 2),
)
TABLE = LatencyTable(SPACE, "here", TERMS, Verified(10, 0.001, 0.0005, 0.01))
UNIFORM = {"a": [0.5, 0.5], "b": [1 / 3] * 3, "c": [0.5, 0.5]}


def test_the_latency_of_a_candidate_is_the_sum_of_its_entries() -> None:
    candidate = {"c": [2, 2], "a": 2, "b": "y"}
    assert TABLE.predict(candidate).tolist() == [0.5 + 2.0 + 5.0 + 81.0]
    assert TABLE.predict(np.array([[1, 1, 1], [0, 0, 0]])).tolist() == [88.5, 2.5]
    assert TABLE.predict([]).shape == (0,)


def test_more_candidates_than_are_summed_at_once() -> None:
    rows = SPACE.sample(40_000, np.random.default_rng(0))
    assert TABLE.predict(rows).tolist() == TABLE.predict([SPACE.candidate(row) for row in rows]).tolist()


def test_the_expected_latency_is_the_mean_over_all_candidates() -> None:
    rows = np.array([[a, b, c] for a in range(2) for b in range(3) for c in range(2)])
    assert TABLE.expected_ms(UNIFORM) == pytest.approx(TABLE.predict(rows).mean())
    random = np.random.default_rng(1)
    given = {name: random.dirichlet(np.ones(size)) for name, size in zip(SPACE.names, SPACE.sizes, strict=True)}
    weights = np.array([given["a"][a] * given["b"][b] * given["c"][c] for a, b, c in rows])
    assert TABLE.expected_ms(given) == pytest.approx(float(weights @ TABLE.predict(rows)))


def test_the_gradient_is_the_difference_of_expected_latencies() -> None:
    random = np.random.default_rng(2)
    given = {name: random.dirichlet(np.ones(size)) for name, size in zip(SPACE.names, SPACE.sizes, strict=True)}
    slope = TABLE.gradient(given)
    base = TABLE.expected_ms(given)
    for name, size in zip(SPACE.names, SPACE.sizes, strict=True):
        for option in range(size):
            certain = np.eye(size)[option]
            towards = {**given, name: given[name] + 1e-3 * (certain - given[name])}
            expected = slope[name][option] - slope[name] @ given[name]
            assert (TABLE.expected_ms(towards) - base) / 1e-3 == pytest.approx(expected, rel=1e-9)


def test_torch_agrees_with_numpy() -> None:
    torch = pytest.importorskip("torch")
    latency = TABLE.torch(dtype=torch.float64)
    rows = SPACE.sample(50, np.random.default_rng(3))
    assert latency.predict(torch.as_tensor(rows)).tolist() == pytest.approx(TABLE.predict(rows).tolist())
    logits = {name: torch.randn(size, dtype=torch.float64) for name, size in zip(SPACE.names, SPACE.sizes, strict=True)}
    given = {name: torch.softmax(value, 0).requires_grad_() for name, value in logits.items()}
    expected = latency(given)
    expected.backward()
    numbers = {name: value.detach().numpy() for name, value in given.items()}
    assert expected.item() == pytest.approx(TABLE.expected_ms(numbers))
    for name, slope in TABLE.gradient(numbers).items():
        assert given[name].grad.tolist() == pytest.approx(slope.tolist())
    several = {name: torch.stack([value, value]) for name, value in given.items()}
    assert latency(several).tolist() == pytest.approx([expected.item()] * 2)


@pytest.mark.parametrize(
    ("candidates", "said"),
    [
        ({"a": 1, "b": "x"}, "no option for 'c'"),
        ({"a": 1, "b": "x", "c": [1, 1], "d": 0}, "no choice 'd'"),
        ({"a": 3, "b": "x", "c": [1, 1]}, "choice 'a' has no option 3; it has 1, 2"),
        ([7], "7 is no candidate"),
        (np.array([[0, 3, 0]]), "choice 'b' has options 0 to 2"),
        (np.array([[0.5, 1.0, 0.0]]), "whole numbers"),
        (np.array([0, 1, 0]), r"give whole numbers \[candidates, 3\]"),
    ],
)
def test_candidates_of_another_space(candidates: object, said: str) -> None:
    with pytest.raises(NnmeterError, match=said):
        TABLE.predict(candidates)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"a": [1, 0]}, "no probabilities for 'b'"),
        ({**UNIFORM, "b": [0.5, 0.5]}, "choice 'b' has 3 options"),
        ({**UNIFORM, "a": [0.9, 0.9]}, "sum to 1"),
        ({**UNIFORM, "a": [1.5, -0.5]}, "sum to 1"),
        ({**UNIFORM, "a": [float("nan"), 1.0]}, "sum to 1"),
        ({**UNIFORM, "z": [1.0]}, "no choice 'z'"),
    ],
)
def test_what_are_no_probabilities(given: dict[str, list[float]], said: str) -> None:
    with pytest.raises(NnmeterError, match=said):
        TABLE.expected_ms(given)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "no choices"),
        ({"a": []}, "'a' has no options"),
        ({"a": [1, 2, 1]}, "the option 1 twice"),
        ({"a": "relu"}, "no list of options"),
        ({"a": [{"x": 1}]}, "a dict; give numbers"),
        ({3: [1]}, "choice 3"),
    ],
)
def test_what_is_no_space(options: dict[str, object], said: str) -> None:
    with pytest.raises(NnmeterError, match=said):
        Space(options)  # type: ignore[arg-type]
