"""How well networks are predicted that no device was seen with: cross-validation of the model of all devices.

Rules:

1. A network that is left out is left out on every device, under whatever batch: its relatives on other devices would
   give it away.
2. With families left out, all networks of one architecture are.
3. Which fold a name is in follows from the name, so that a row that is added changes no other one's fold.
4. A device of many networks may have trees over its rates (`work_trees`), which are learned without the fold, too. It
   has them where they lower the mean absolute log error of networks that were left out by more than two standard
   errors of that difference.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from nnmeter.lab.training.population import DeviceTable, Matrix, fit_population, predict_log_ms
from nnmeter.lab.training.work_trees import KernelSums, predict_left_out

FOLDS, FAMILY_FOLDS = 12, 12
ROUNDS = 5  # more make folds a little better (4.9 for 5.1 % on the devices of MLPerf), and take longer


_Predicted = tuple[str, Matrix, Matrix, Matrix]  # device, rows, log milliseconds by rates, by trees over them


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Predictions of networks that were left out.

    Attributes:
        by_network: log milliseconds of each network of each device, by id; learned without it (rule 1).
        by_family: the same, learned without its family (rule 2).
        folds: parts of the networks, of which each was left out in turn.
        family_folds: parts of the families.
        sums: of the devices that have trees over their rates, by id (rule 4); their predictions are of these.
    """

    by_network: dict[str, Matrix]
    by_family: dict[str, Matrix]
    folds: int = FOLDS
    family_folds: int = FAMILY_FOLDS
    sums: Mapping[str, KernelSums] = field(default_factory=dict)

    def parts(self, table: DeviceTable) -> Matrix:
        """The part that each network of a device was left out with [networks]."""
        return parts_of(table.networks, self.folds)

    def family_parts(self, table: DeviceTable) -> Matrix:
        """The same where families were left out."""
        return parts_of(table.families, self.family_folds)


def leave_out(
    tables: Sequence[DeviceTable],
    jobs: int = 1,
    tell: Callable[[str], None] | None = None,
    folds: int = FOLDS,
    family_folds: int = FAMILY_FOLDS,
    sums: Mapping[str, KernelSums] | None = None,
) -> LeftOut:
    """Predict every network without itself, and without its family.

    Args:
        tables: all devices.
        jobs: processes at a time.
        tell: told what is done, a line at a time.
        folds: parts of the networks, of which each is left out in turn.
        family_folds: parts of the families.
        sums: of the devices that may have trees over their rates, by id; none if not given (rule 4).
    """
    say = tell or (lambda _: None)
    tasks = [(False, fold, folds) for fold in range(folds)] + [
        (True, fold, family_folds) for fold in range(family_folds)
    ]
    wanted = sums or {}
    by_rates, by_trees = (
        {families: {table.id: np.full(len(table.latency_ms), np.nan) for table in tables} for families in (False, True)}
        for _ in range(2)
    )
    for (families, fold, _), predictions in zip(tasks, _predict_folds(tables, tasks, jobs, wanted), strict=True):
        for name, rows, rates, trees in predictions:
            by_rates[families][name][rows] = rates
            by_trees[families][name][rows] = trees
        say(f"left out {'families' if families else 'networks'}, part {fold + 1}")
    measured = {table.id: np.log(table.latency_ms) for table in tables}
    helped = {
        name: own
        for name, own in wanted.items()
        if name in measured and _helps(by_rates[False][name], by_trees[False][name], measured[name])
    }
    if wanted:
        say(f"trees over rates help {len(helped)} of {len(wanted)} devices")
    for families, found in by_rates.items():
        found.update({name: by_trees[families][name] for name in helped})
    return LeftOut(by_rates[False], by_rates[True], folds, family_folds, helped)


def _helps(by_rates: Matrix, by_trees: Matrix, measured: Matrix) -> bool:
    """Whether trees lower the error of networks that were left out (rule 4)."""
    change = np.abs(by_trees - measured) - np.abs(by_rates - measured)
    return float(change.mean()) < -2.0 * float(change.std(ddof=1)) / len(change) ** 0.5


def _predict_folds(
    tables: Sequence[DeviceTable], tasks: Sequence[tuple[bool, int, int]], jobs: int, sums: Mapping[str, KernelSums]
) -> Iterator[list[_Predicted]]:
    if jobs == 1:
        for task in tasks:
            yield _predict_fold(tables, sums, *task)
        return
    with ProcessPoolExecutor(jobs, initializer=_keep, initargs=(tables, sums)) as pool:
        for job in [pool.submit(_predict_kept, *task) for task in tasks]:
            yield job.result()


_kept: list[tuple[Sequence[DeviceTable], Mapping[str, KernelSums]]] = []  # of a process: what all its tasks are of


def _keep(tables: Sequence[DeviceTable], sums: Mapping[str, KernelSums]) -> None:
    _kept.append((tables, sums))


def _predict_kept(families: bool, fold: int, folds: int) -> list[_Predicted]:
    return _predict_fold(*_kept[-1], families, fold, folds)


def fold_of(name: str, folds: int) -> int:
    """The fold of a name (rule 3)."""
    return zlib.crc32(name.encode()) % folds


def parts_of(names: Sequence[str], folds: int) -> Matrix:
    """The fold of each name."""
    return np.array([fold_of(name, folds) for name in names], int)


def _predict_fold(
    tables: Sequence[DeviceTable], sums: Mapping[str, KernelSums], families: bool, fold: int, folds: int
) -> list[_Predicted]:
    names = [table.families if families else table.networks for table in tables]
    out = [parts_of(own, folds) == fold for own in names]
    rest = [table.taken(~left) for table, left in zip(tables, out, strict=True)]
    population = fit_population(rest, ROUNDS)
    found = []
    for table, left in zip(tables, out, strict=True):
        if left.any():
            theta, own = population.devices[table.id].theta, sums.get(table.id)
            rates = predict_log_ms(theta, table.work[left])
            trees = rates if own is None else predict_left_out(own, theta, left)
            found.append((table.id, np.flatnonzero(left), rates, trees))
    return found
