"""Prices as arrays: the same of a network as of its parts one behind the other."""

from __future__ import annotations

import numpy as np

from nnmeter.kernels.anchor import Kind
from nnmeter.predictor.intervals import IntervalModel
from nnmeter.predictor.price import KernelPrice
from nnmeter.predictor.price_columns import columns_of, joined, number_of, numbered, table_of

KINDS = [Kind.parse(f"{family}:{family.title()}|float32") for family in ("conv", "gemm", "softmax")]


def prices(count: int, seed: int) -> list[KernelPrice]:
    random = np.random.default_rng(seed)
    return [
        KernelPrice(
            float(random.uniform(0.01, 3)), random.choice(["trained", "trained", "fallback"]), float(random.uniform()),
            float(random.integers(2)), KINDS[random.integers(3)], int(random.integers(1, 2**40)),
            int(random.integers(1, 2**30)), worst_ms=float(random.uniform(0, 4)),
        )
        for _ in range(count)
    ]  # fmt: skip


def test_columns_say_what_the_prices_say() -> None:
    some = prices(20, 0)
    columns = columns_of(some)
    assert columns.latency_ms.tolist() == [price.latency_ms for price in some]
    assert columns.unsampled.tolist() == [price.unsampled_sigma for price in some]
    assert columns.sampled.tolist() == [price.sigma - price.unsampled_sigma for price in some]
    assert columns.flops.tolist() == [price.flops for price in some]
    assert columns.bytes.tolist() == [price.bytes for price in some]
    assert columns.worst_ms.tolist() == [price.worst_ms for price in some]
    assert [numbered()[number] for number in columns.kind] == [price.kind for price in some]
    assert columns.total_ms == columns.latency_ms.sum()


def test_parts_one_behind_the_other_have_the_interval_of_the_whole() -> None:
    model = IntervalModel(0.02, {0.9: 1.7}, 100, 0.01, states={"conv": 0.1, "": 0.2})
    parts = [prices(count, count) for count in (1, 30, 7, 150, 0, 3)]
    whole = [price for part in parts for price in part]
    together = joined([table_of(part) for part in parts])
    assert model.interval_ms(9.0, together, 0.9) == model.interval_ms(9.0, whole, 0.9)


def test_no_prices_have_columns_too() -> None:
    assert columns_of([]).total_ms == 1.0
    assert IntervalModel(0.02, {0.9: 1.0}, 100).interval_ms(1.0, [], 0.9)[0] < 1.0


def test_a_kind_keeps_its_number() -> None:
    assert number_of(KINDS[0]) == number_of(Kind.parse(str(KINDS[0])))
    assert number_of(KINDS[0]) != number_of(KINDS[1])
