"""From times to a verdict: does the tail of a test become part of a kernel of its head?

1. Five models are compared: the *joined* one, the *head*, the *tail*, and the empty models of the domain that the head
   reads (*empty*) and of the one that the tail reads (*middle*). What joining saves is
   `saved = (head - empty) + (tail - middle) - (joined - empty) = head + tail - joined - middle`: the fixed cost of an
   inference, inputs, outputs and preludes are in it twice with either sign.
2. The share is `saved` over the time of the smaller operator, `min(head - empty, tail - middle)`. Two kernels in a row
   save nothing: the share is 0. A fused kernel saves a launch, and the writing and reading between the two. At the
   smallest sizes that is most of what the smaller operator takes, because a launch takes as long as some thousand
   elements: the share is 0.6 or more. What an activation computes is not saved, but is little there.
3. A time is the mean of a model's inferences between the 5th and the 30th percentile: those that nothing disturbed,
   without the few that were lucky. On a 2-core machine with six processes at work, 32 sweeps gave shares with a
   standard deviation of 0.13; the middle half of the same inferences gave 1.1, and ratios to the reference run behind
   them 4.6: under load a run of a tenth of a millisecond is either whole or disturbed, and the reference as well.
4. The interval of the share comes from a bootstrap over sweeps: a sweep runs all models, so what disturbs the machine
   meets all of them, and is drawn with all of them. To its variance is added that of compiling: two copies of one model
   differ by `COPY_SPREAD`, whatever the number of runs (their memory lies elsewhere), and fewer if several are used.
5. Fused: the interval lies above `THRESHOLD`. Not fused: below. Otherwise undecided, and measured again.
6. Where the smaller operator's own time is not clearly above nothing, the share means nothing: undecided, whatever the
   interval. So do fewer than `LEAST_SWEEPS` sweeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

CONFIDENCE, DEVIATIONS = 0.99, 2.58  # a test is looked at after every round, and there are more than a hundred
THRESHOLD = 0.4  # rule 5
UNDISTURBED = (0.05, 0.30)  # rule 3
COPY_SPREAD = 0.004  # rule 4; relative
RESAMPLES = 200
LEAST_SWEEPS = 12  # fewer have no spread to speak of
ROLES = ("joined", "head", "tail", "empty", "middle")


class Verdict(str, Enum):
    """What is known of a test from one source."""

    FUSED = "fused"
    SEPARATE = "not fused"
    UNDECIDED = "undecided"
    FREE = "no kernel"

    @property
    def decided(self) -> bool:
        """Whether it says if the two are one kernel."""
        return self in (Verdict.FUSED, Verdict.SEPARATE)


@dataclass(frozen=True)
class Estimate:
    """What the times of a test say.

    Attributes:
        share: of the smaller operator's time that joining saves (rule 2), and its interval; without meaning if
            `too_small`.
        saved_ms: what joining saves in one branch, and its interval.
        head_ms: time of the head in one branch, without what an empty model takes.
        tail_ms: the same of the tail.
        sweeps: sweeps over all models.
        too_small: the smaller operator takes no time that could be told from none (rule 6).
    """

    share: float
    interval: tuple[float, float]
    saved_ms: float
    saved_interval_ms: tuple[float, float]
    head_ms: float
    tail_ms: float
    sweeps: int
    too_small: bool

    @property
    def verdict(self) -> Verdict:
        """By rules 5 and 6."""
        if self.too_small or self.sweeps < LEAST_SWEEPS:
            return Verdict.UNDECIDED
        if self.interval[0] > THRESHOLD:
            return Verdict.FUSED
        return Verdict.SEPARATE if self.interval[1] < THRESHOLD else Verdict.UNDECIDED


def estimate_share(
    times_ms: Mapping[str, np.ndarray[Any, Any]], branches: int, copies: int = 1, seed: int = 0
) -> Estimate:
    """What joining saves.

    Args:
        times_ms: for each of `ROLES` the milliseconds of single inferences, of shape (sweeps, inferences).
        branches: branches of the models.
        copies: how often every model was compiled anew in the course of the sweeps.
        seed: of the bootstrap.

    Returns:
        Times per branch, and the share with its interval.
    """
    samples = np.stack([times_ms[role] for role in ROLES]) / branches  # (roles, sweeps, inferences)
    roles, sweeps, inferences = samples.shape
    draws = np.random.default_rng(seed).integers(0, sweeps, (RESAMPLES, sweeps))
    times = undisturbed_mean(samples.reshape(roles, -1))
    saved, head, tail = _effects(times)
    drawn = samples[:, draws].reshape(roles, RESAMPLES, sweeps * inferences)
    drawn_saved, drawn_head, drawn_tail = _effects(undisturbed_mean(drawn))
    smaller = min(head, tail)
    # Copies of a model differ independently of each other; each of these is a sum of four, or a difference of two.
    spread = COPY_SPREAD * times / np.sqrt(copies)
    joined_copy, head_copy, tail_copy, empty_copy, middle_copy = spread**2
    smaller_copy = head_copy + empty_copy if head < tail else tail_copy + middle_copy
    smaller_error = DEVIATIONS * np.sqrt(np.var(np.minimum(drawn_head, drawn_tail)) + smaller_copy)
    saved_variance = np.var(drawn_saved) + joined_copy + head_copy + tail_copy + middle_copy
    saved_error = DEVIATIONS * np.sqrt(saved_variance)
    too_small = bool(smaller <= smaller_error)
    scale = max(smaller, smaller_error) if too_small else smaller
    # Errors of numerator and denominator, to first order.
    share = saved / scale
    share_error = np.hypot(saved_error, share * smaller_error) / scale
    return Estimate(
        share=float(share),
        interval=(float(share - share_error), float(share + share_error)),
        saved_ms=float(saved),
        saved_interval_ms=(float(saved - saved_error), float(saved + saved_error)),
        head_ms=float(head),
        tail_ms=float(tail),
        sweeps=sweeps,
        too_small=too_small,
    )


def undisturbed_mean(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Mean, along the last axis, of the values between two low percentiles (rule 3)."""
    count = values.shape[-1]
    first, last = int(UNDISTURBED[0] * count), int(UNDISTURBED[1] * count)
    return np.asarray(np.partition(values, (first, last), axis=-1)[..., first : max(last, first + 1)].mean(axis=-1))


def _effects(times: np.ndarray[Any, Any]) -> tuple[Any, Any, Any]:
    """What joining saves, and the times of head and tail, from the times of the models (rule 1)."""
    joined, head, tail, empty, middle = times
    return head + tail - joined - middle, head - empty, tail - middle
