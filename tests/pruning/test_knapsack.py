from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from nnmeter.pruning.knapsack import choose_widths


@pytest.mark.parametrize("seed", range(6))
def test_the_choice_is_the_best_of_all(seed: int) -> None:
    random = np.random.default_rng(seed)
    gains = [np.sort(random.random(4)).tolist() for _ in range(4)]
    losses = [np.sort(random.random(4)).tolist() for _ in range(4)]
    needed = 0.6 * sum(max(gain) for gain in gains)

    def sums(choice: tuple[int, ...]) -> tuple[float, float]:
        return (sum(g[c] for g, c in zip(gains, choice, strict=True)),
                sum(loss[c] for loss, c in zip(losses, choice, strict=True)))  # fmt: skip

    found = choose_widths(gains, losses, needed)
    assert found is not None
    gained, lost = sums(tuple(found))
    assert gained >= needed
    # Gains are cut into units of needed / 2000 and rounded down, so a choice that just gains enough may be passed over.
    best = min(sums(c)[1] for c in product(range(4), repeat=4) if sums(c)[0] >= needed * (1 + 4 / 2000))
    assert lost <= best + 1e-12


def test_what_cannot_be_gained_and_what_needs_no_gain() -> None:
    assert choose_widths([[0.0, 1.0], [0.0, 2.0]], [[0.0, 1.0], [0.0, 1.0]], 3.5) is None
    assert choose_widths([[0.0, 1.0]], [[0.0, 1.0]], 0.0) == [0]
    assert choose_widths([[0.0, 1.0], [0.0, 2.0]], [[0.0, 1.0], [0.0, 1.0]], 1.9) == [0, 1]
