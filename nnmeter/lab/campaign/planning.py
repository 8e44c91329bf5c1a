"""What to measure next: the recipe of every seed, by plans that are made anew while a campaign goes on.

1. A plan gives a weight to each recipe. The first one is the prior: how often the recipe's like is met in practice.
2. A seed's recipe is where a low-discrepancy sequence (multiples of the golden ratio) falls among the weights; so every
   recipe has its share in any stretch of seeds, and a seed and its plan always give the same network.
3. A new plan mixes the prior (a third) with the *error* of each recipe and with what the coverage *needs*.
4. The error of a recipe is, in equal parts, that of its networks out of fold, less the noise of their measuring, and
   that of its kernels: the error and disagreement of each operator wherever it occurs, by its share of the time of the
   recipe's networks. Few networks say little, so both are drawn to the mean of all.
5. The need is `Coverage.expected_gain`; a cell counts by the share of time of its operator, so that what costs nothing
   is not sought.
6. No recipe falls below a quarter of its prior or rises above four times it.
7. Plans are kept in `plan.json` with the seed from which each is in force. A plan is made of the part files alone, so
   it comes out the same whether or not the campaign was interrupted before.
8. Without a profiler, most networks are small ones (`SMALL_SHARE`): in few kernels a network's time can be told apart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from nnmeter.errors import MeasurementError, brief
from nnmeter.files import parse_json, read_limited, write_whole
from nnmeter.lab.campaign.coverage import Cell, Coverage, describe
from nnmeter.lab.campaign.cross_validation import CrossValidation, cross_validate
from nnmeter.lab.campaign.samples import SampleArrays, Samples
from nnmeter.limits import MAX_JSON_BYTES

PLAN_FILE = "plan.json"
SCHEMA_VERSION = 1
SMALL_SHARE = 0.75
_PRIOR_SHARE, _ERROR_SHARE = 0.35, 0.45  # rule 3; the rest is the coverage's
_LEAST_FACTOR, _LARGEST_FACTOR = 0.25, 4.0  # rule 6
_SHRINKAGE = 6.0  # rule 4, networks
_LEAST_SQUARE = 1e-4  # rule 4: errors below one per cent are all the same
_LEAST_ERROR = 1e-4
_FULL_IMPORTANCE = 0.03  # rule 5, share of time
_GOLDEN, _ROOT_OF_TWO = 0.6180339887498949, 1.4142135623730951
_TOLD = 12  # entries of the lists that explain a plan

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """Weights of recipes, in force from a seed on.

    Attributes:
        first_seed: the first seed whose recipe it decides.
        weights: share of the networks of each recipe; they add up to 1.
        small_share: share of the seeds that give small networks.
        networks: number of measured networks that it rests on; 0 for the prior.
        error: their cross-validated error (`nnmeter.lab.campaign.cross_validation`), None for the prior.
        worst: operators with the largest errors by share of time, to explain the plan.
        thin: cells of the coverage with the largest needs, to explain the plan.
    """

    first_seed: int
    weights: Mapping[str, float]
    small_share: float = 0.0
    networks: int = 0
    error: float | None = None
    worst: tuple[str, ...] = ()
    thin: tuple[str, ...] = ()

    def recipe_of(self, seed: int) -> str:
        """The recipe of a seed (rule 2)."""
        point = seed * _GOLDEN % 1.0
        names = list(self.weights)
        for name, end in zip(names, accumulate(self.weights.values()), strict=True):
            if point < end:
                return name
        return names[-1]

    def is_small(self, seed: int) -> bool:
        """Whether the network of a seed is a small one (rule 8)."""
        return seed * _ROOT_OF_TWO % 1.0 < self.small_share


def prior_plan(first_seed: int, prior: Mapping[str, float], small_share: float) -> Plan:
    """The plan before anything is measured (rule 1)."""
    return Plan(first_seed, _normalised(prior), small_share)


def make_plan(
    first_seed: int, prior: Mapping[str, float], small_share: float, samples: Samples
) -> tuple[Plan, CrossValidation]:
    """A plan for what comes after the samples (rules 3 to 6), and the cross-validation that it rests on.

    Args:
        first_seed: seed from which it is in force.
        prior: weight of each recipe by rule 1.
        small_share: share of small networks.
        samples: what is measured, at least `cross_validation.LEAST_NETWORKS` networks.
    """
    arrays = samples.arrays()
    validation = cross_validate(arrays)
    prior = _normalised(prior)
    operators = operator_errors(arrays, validation)
    own = recipe_errors(samples.recipes, arrays, validation, operators)
    known = [own[name] for name in prior if name in own]
    usual = float(np.mean(known)) if known else 1.0
    erring = _normalised({name: prior[name] ** (2 / 3) * own.get(name, usual) for name in prior})
    importance = cell_importance(samples, arrays, validation)
    gains = samples.coverage.expected_gain(importance)
    needed = {name: gains.get(name, 0.0) * prior[name] ** 0.5 for name in prior}
    needed = _normalised(needed) if any(needed.values()) else prior
    mixed = {
        name: _PRIOR_SHARE * prior[name]
        + _ERROR_SHARE * erring[name]
        + (1 - _PRIOR_SHARE - _ERROR_SHARE) * needed[name]
        for name in prior
    }
    bounded = {
        name: min(max(weight, _LEAST_FACTOR * prior[name]), _LARGEST_FACTOR * prior[name])
        for name, weight in mixed.items()
    }
    plan = Plan(
        first_seed,
        {name: round(weight, 6) for name, weight in _normalised(bounded).items()},
        small_share,
        len(samples),
        round(validation.error, 6),
        _worst_operators(samples, arrays, validation, operators),
        _thinnest(samples.coverage, importance),
    )
    return plan, validation


def operator_errors(arrays: SampleArrays, validation: CrossValidation) -> Array:
    """Of each group of kernels (operator and element type) the error of rule 4: its root mean square by share of time.

    Measured error less the noise of measuring, where kernels are timed; the disagreement of the trees everywhere.
    """
    error = np.where(np.isnan(arrays.log_ms), 0.0, validation.kernel_log_error)
    square = np.minimum(error**2, 1.0) - arrays.kernel_noise**2
    share = np.bincount(arrays.group, validation.share, arrays.group_count)
    total = np.maximum(np.bincount(arrays.group, validation.share * square, arrays.group_count), 0.0)
    total += np.bincount(arrays.group, validation.share * validation.disagreement**2, arrays.group_count)
    usual = float(total.sum() / share.sum())
    return np.asarray(np.sqrt((total + usual) / (share + 1.0)))


def recipe_errors(
    recipes: list[str], arrays: SampleArrays, validation: CrossValidation, operators: Array
) -> dict[str, float]:
    """Error of each measured recipe relative to the mean of all networks (rule 4)."""
    whole = np.minimum(validation.network_log_error**2, 1.0) - arrays.noise**2
    kernels = np.bincount(arrays.network, validation.share * operators[arrays.group], len(whole))
    kernels = np.maximum(kernels, _LEAST_ERROR)  # trees that fit all kernels exactly leave none
    usual, usual_kernels = max(float(whole.mean()), _LEAST_SQUARE), float(kernels.mean())
    names = np.array(recipes)
    errors = {}
    for name in sorted(set(recipes)):
        rows = names == name
        count = int(rows.sum())
        by_networks = np.sqrt((max(whole[rows].sum(), 0.0) + _SHRINKAGE * usual) / (count + _SHRINKAGE) / usual)
        by_kernels = (kernels[rows].sum() + usual_kernels) / (count + 1.0) / usual_kernels
        errors[name] = float(by_networks + by_kernels) / 2
    return errors


def cell_importance(samples: Samples, arrays: SampleArrays, validation: CrossValidation) -> dict[Cell, float]:
    """Weight of the cells of operators by their share of time in networks that have them (rule 5)."""
    pairs = arrays.network * arrays.group_count + arrays.group
    unique, inverse = np.unique(pairs, return_inverse=True)
    share = np.bincount(inverse.ravel(), validation.share)
    group = unique % arrays.group_count
    met = np.bincount(group, minlength=arrays.group_count)
    mean = np.bincount(group, share, arrays.group_count) / np.maximum(met, 1)
    weight = np.clip(mean / _FULL_IMPORTANCE, 0.05, 1.0)
    of_kind = {str(kind): float(weight[number]) for kind, number in samples.groups.items()}
    of_operator: dict[str, float] = {}
    for kind, number in samples.groups.items():
        operator = kind.anchor.operator
        of_operator[operator] = max(float(weight[number]), of_operator.get(operator, 0.0))
    found = {}
    for cell in samples.coverage.networks:
        if cell[0] in ("flops", "bytes"):
            found[cell] = of_kind[cell[1]]
        elif cell[0] == "type":
            found[cell] = of_operator[cell[1].partition("+")[0]]
    return found


def read_plans(directory: Path) -> list[Plan]:
    """The plans of a campaign in the order of their seeds; empty if it has none.

    Raises:
        MeasurementError: the file is damaged or of another version.
    """
    path = directory / PLAN_FILE
    try:
        content = parse_json(read_limited(path, MAX_JSON_BYTES))
        if content["schema_version"] != SCHEMA_VERSION:
            raise MeasurementError(
                f"{path}: schema {content['schema_version']}, this version reads {SCHEMA_VERSION}; update nnmeter"
            )
        return [_plan_of(entry) for entry in content["plans"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as fault:
        if isinstance(fault, MeasurementError):
            raise
        raise MeasurementError(f"{path}: damaged ({brief(fault)}); restore it, or begin in a new directory") from fault


def write_plans(directory: Path, plans: list[Plan]) -> None:
    """Writes the plans of a campaign, whole or not at all."""
    entries = [{name: getattr(plan, name) for name in Plan.__slots__} for plan in plans]
    content = {"schema_version": SCHEMA_VERSION, "plans": entries}
    write_whole(directory / PLAN_FILE, json.dumps(content, indent=1) + "\n")


def plan_for(plans: list[Plan], seed: int) -> Plan | None:
    """The plan in force at a seed: the last one that begins at or before it; None before all plans."""
    return next((plan for plan in reversed(plans) if plan.first_seed <= seed), None)


def _plan_of(entry: Mapping[str, Any]) -> Plan:
    weights = {str(name): float(weight) for name, weight in entry["weights"].items()}
    if not weights or min(weights.values()) < 0 or not 0.99 < sum(weights.values()) < 1.01:
        raise ValueError("weights do not add up to 1")
    return Plan(
        int(entry["first_seed"]),
        weights,
        float(entry["small_share"]),
        int(entry["networks"]),
        None if entry["error"] is None else float(entry["error"]),
        tuple(map(str, entry["worst"])),
        tuple(map(str, entry["thin"])),
    )


def _normalised(weights: Mapping[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


def _worst_operators(
    samples: Samples, arrays: SampleArrays, validation: CrossValidation, operators: Array
) -> tuple[str, ...]:
    share = np.bincount(arrays.group, validation.share, arrays.group_count) / len(samples)
    order = np.argsort(-operators * share, kind="stable")[:_TOLD]
    names = list(samples.groups)
    return tuple(f"{names[g]}: error {100 * operators[g]:.0f} %, {100 * share[g]:.1f} % of the time" for g in order)


def _thinnest(coverage: Coverage, importance: Mapping[Cell, float]) -> tuple[str, ...]:
    needs = coverage.needs()
    ranked = sorted(needs, key=lambda cell: (-needs[cell] * importance.get(cell, 1.0), cell))[:_TOLD]
    return tuple(f"{describe(cell)}: {coverage.networks[cell]} networks" for cell in ranked)
