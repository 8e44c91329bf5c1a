"""Families declare what they need, and tell the kernels of shared operators apart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from random import Random
from typing import Any

import pytest

from nnmeter.graph.ir import DTYPE_BITS, TensorType
from nnmeter.kernels.features import FAMILIES, FEATURE_NAMES, family_among, kernel_family, kernel_features
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.kernels.naming import COST_ATTRIBUTES
from nnmeter.operators.attributes import KINDS
from nnmeter.operators.table import OPERATORS
from tests.kernels.test_features import EXAMPLES

CONVOLUTIONS = ("convolution", "grouped_convolution", "depthwise_convolution")


@dataclass(frozen=True)
class Watched:
    """A kernel that notes which of its attributes are asked for."""

    signature: KernelSignature
    asked: set[str]

    def attribute(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return self.signature.attribute(name, default)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.signature, name)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_declares_the_attributes_that_it_reads(name: str) -> None:
    watched = Watched(EXAMPLES[name], set())
    FAMILIES[name].values(watched)  # type: ignore[arg-type]  # it answers as a kernel does
    FAMILIES[name].describes(watched)  # type: ignore[arg-type]
    assert watched.asked <= FAMILIES[name].attributes <= COST_ATTRIBUTES


def test_every_family_of_the_table_is_declared() -> None:
    rows = {family.row or family.name for family in FAMILIES.values()}
    assert {operator.family for operator in OPERATORS.values()} <= rows
    assert set(FEATURE_NAMES) == set(FAMILIES)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_one_family_of_a_row_describes_a_kernel(name: str) -> None:
    assert [f for f in CONVOLUTIONS if FAMILIES[f].describes(EXAMPLES[name])] == [name]
    assert kernel_family(EXAMPLES[name]) == name


def test_of_known_families_the_one_that_describes_a_kernel_is_chosen() -> None:
    grouped = EXAMPLES["grouped_convolution"]
    assert family_among(grouped, CONVOLUTIONS) == "grouped_convolution"
    assert family_among(grouped, ["convolution", "depthwise_convolution"]) is None
    assert family_among(EXAMPLES["matmul"], ["elementwise"]) == "elementwise"


def test_a_kernel_is_described_by_the_family_that_is_asked_for() -> None:
    asked = kernel_features(EXAMPLES["elementwise"], "generic")
    own = kernel_features(EXAMPLES["elementwise"])
    assert (asked.family, own.family) == ("generic", "elementwise")
    assert asked.anchor == own.anchor
    assert asked.values == own.values[: len(FEATURE_NAMES["generic"])]


def _any_kernel(random: Random) -> KernelSignature:
    """A kernel of an operator of the table with any types, and attributes that are right in kind alone."""

    def tensor() -> TensorType:
        shape = tuple(random.choice([0, 1, 2, 3, 8, 64]) for _ in range(random.randint(0, 5)))
        return TensorType(random.choice(sorted(DTYPE_BITS)), shape)

    def value(kind: type) -> Any:
        if kind is tuple:
            return tuple(random.randint(-3, 3) for _ in range(random.randint(0, 5)))
        return random.choice([-5, -1, 0, 1, 100]) if kind is int else "linear"

    name = random.choice(sorted(OPERATORS))
    inputs = tuple(None if random.random() < 0.1 else tensor() for _ in range(random.randint(0, 6)))
    outputs = tuple(tensor() for _ in range(random.randint(0, 2)))
    chosen = random.sample(sorted(COST_ATTRIBUTES & set(KINDS)), 30)
    attributes = tuple(sorted((key, value(KINDS[key])) for key in chosen))
    constants = tuple(random.random() < 0.5 for _ in inputs)
    return KernelSignature(name, name, "", inputs, constants, outputs, attributes)


@pytest.mark.parametrize("seed", range(10))
def test_any_ranks_and_lengths_give_finite_features(seed: int) -> None:
    random = Random(seed)
    for _ in range(500):
        signature = _any_kernel(random)
        features = kernel_features(signature)
        assert all(isfinite(value) for value in features.values), signature
        assert len(features.values) == len(FEATURE_NAMES[features.family])


def test_an_own_operator_is_described_by_its_sizes_alone() -> None:
    own = replace(
        EXAMPLES["matmul"], type="acme.MatMul", op_type="MatMul", domain="acme", attributes=(("transA", "x"),)
    )
    assert kernel_family(own) == "generic"
    assert family_among(own, ["matmul"]) is None
