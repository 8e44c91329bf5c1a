"""Families declare what they need, and tell the kernels of shared operators apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from nnmeter.kernels.features import FAMILIES, FEATURE_NAMES, family_among, kernel_family, kernel_features
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.kernels.naming import COST_ATTRIBUTES
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
