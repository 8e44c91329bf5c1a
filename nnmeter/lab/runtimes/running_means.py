"""Times of single runs from a profiler that tells only the mean over all runs so far, in whole microseconds.

OpenVINO's CPU plugin counts that way (`src/plugins/intel_cpu/src/perf_count.h`: each duration is cut to whole
microseconds and added up, and what is told is the sum over the number of runs, cut again). So the first, cold run stays
in every later number, and the difference of two sums carries the cut of the mean, times the number of runs. Rules:

1. After run n a mean of `a` says that the sum was a whole number in [n * a, n * a + n - 1]. Sums never fall, which
   narrows these bounds further. Together they are a corridor through which the true course of the sum must lead.
2. Of all courses through it the straightest is taken (a taut string from the sum 0 before the first run): runs differ
   no more than the numbers demand. Times much longer than the cut keep their own differences, short ones become even.
3. Behind the last corner every pace between two bounds is possible; the middle one is taken.
4. Half a microsecond is added to every run, because its duration was cut before it was added.
5. What was 0 after every run did nothing, and its times are 0: the plugin does not count what it does not execute. What
   it does execute takes at least a microsecond in its first, cold run (none of the 6,000 kernels of 68 models was 0).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

CUT_US = 0.5  # rule 4


def times_of_runs(means_us: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Microseconds of each run.

    Args:
        means_us: what the profiler told after each run from the first one on, of shape (runs, kernels): the mean over
            all runs so far, cut to whole microseconds.

    Returns:
        Microseconds, of the same shape.
    """
    means_us = np.asarray(means_us, np.int64)
    counts = np.arange(1, len(means_us) + 1)[:, None]
    low = np.maximum.accumulate(means_us * counts, axis=0)
    high = np.minimum.accumulate((means_us * counts + counts - 1)[::-1], axis=0)[::-1]
    times = np.zeros(means_us.shape)
    for kernel in np.flatnonzero(means_us.any(axis=0)):
        paces_us = straightest_paces(low[:, kernel].tolist(), high[:, kernel].tolist())
        times[:, kernel] = np.asarray(paces_us) + CUT_US
    return times


def straightest_paces(low: Sequence[float], high: Sequence[float]) -> list[float]:
    """Steps of the straightest course from 0 through a corridor (rules 2 and 3).

    Args:
        low: lower bound of the course after each step, nowhere falling.
        high: upper bound after each step, nowhere falling and nowhere below `low`.

    Returns:
        The height gained in each step.
    """
    bounds = [(0.0, 0.0), *((float(a), float(b)) for a, b in zip(low, high, strict=True))]
    paces: list[float] = []
    here, height = 0, 0.0
    while here < len(bounds) - 1:
        least, most = 0.0, float("inf")  # paces at which all steps so far are met
        touching_low = touching_high = here
        for step, (bottom, top) in enumerate(itertools.islice(bounds, here + 1, None), here + 1):
            to_bottom, to_top = (bottom - height) / (step - here), (top - height) / (step - here)
            if to_bottom > most:
                corner, pace = touching_high, most
                break
            if to_top < least:
                corner, pace = touching_low, least
                break
            if to_bottom >= least:
                least, touching_low = to_bottom, step
            if to_top <= most:
                most, touching_high = to_top, step
        else:
            corner, pace = len(bounds) - 1, (least + most) / 2
        paces += [pace] * (corner - here)
        height += pace * (corner - here)
        here = corner
    return paces
