"""Intervals for networks that people use, from those of random ones.

A campaign has random networks alone, and they are harder to predict than those that people use: they have more of what
is rare, and more of them are short. Rules:

1. `real_networks.json` says how much smaller the scores of real networks were than those of random ones left out
   (`nnmeter.predictor.intervals`, rule 4), on machines that were measured, trained on as a new machine is: short
   campaigns over a prior, and whole campaigns from nothing. It has the largest of all machines by confidence, for they
   are few; `benchmarks/short_campaigns.py --save` makes it, and says what intervals hold on each machine with the ratio
   of the others.
2. Multipliers of what was fitted to random networks are multiplied by it. The part of an interval that was not sampled
   stays as it is. Where other networks than random ones judged, nothing is to be narrowed.
3. A wider confidence is never a narrower interval.
4. A short campaign over a prior is one session, and knows one state of its machine. `machine_states.json` says how far
   families of kernels moved between sessions of one server, hours apart, beyond what the reference kernel told
   (`nnmeter.predictor.intervals`, rule 6): the root mean square over all pairs of sessions.
   `benchmarks/machine_state.py --sessions --save` makes it from networks that all of them measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from nnmeter.predictor.intervals import IntervalModel

RATIO_FILE = Path(__file__).with_name("real_networks.json")
STATE_FILE = Path(__file__).with_name("machine_states.json")


OVER_PRIOR, CAMPAIGN = "over_prior", "campaign"


@lru_cache(maxsize=2)
def ratios(way: str) -> Mapping[float, float]:
    """Score of real networks over that of random ones, by confidence (rule 1).

    Args:
        way: of training, `OVER_PRIOR` or `CAMPAIGN`.
    """
    document = json.loads(RATIO_FILE.read_text(encoding="utf-8"))
    return {float(confidence): float(ratio) for confidence, ratio in document[way]["ratio"].items()}


@lru_cache(maxsize=1)
def states() -> Mapping[str, float]:
    """How far kernels of each family move between sessions, "" for other families (rule 4)."""
    document = json.loads(STATE_FILE.read_text(encoding="utf-8"))
    return {str(family): float(spread) for family, spread in document["states"].items()}


def for_real_networks(intervals: IntervalModel, way: str) -> IntervalModel:
    """Intervals that were fitted to random networks, for those that people use; over a prior, at any time (rules 2-4).

    Args:
        intervals: fitted to random networks that were left out.
        way: of training, `OVER_PRIOR` or `CAMPAIGN`.
    """
    multipliers: dict[float, float] = {}
    least = 0.0
    for confidence in sorted(intervals.multipliers):
        least = max(least, intervals.multipliers[confidence] * ratios(way)[confidence])
        multipliers[confidence] = least
    return replace(intervals, multipliers=multipliers, states=states() if way == OVER_PRIOR else {})
