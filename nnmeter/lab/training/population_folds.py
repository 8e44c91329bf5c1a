"""How well networks are predicted that no device was seen with: cross-validation of the model of all devices.

Rules:

1. A network that is left out is left out on every device, under whatever batch: its relatives on other devices would
   give it away.
2. With families left out, all networks of one architecture are.
3. Which fold a name is in follows from the name, so that a row that is added changes no other one's fold.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np

from nnmeter.lab.training.population import DeviceTable, Matrix, fit_population, predict_log_ms

FOLDS, FAMILY_FOLDS = 12, 12
ROUNDS = 5  # more make folds a little better (4.9 for 5.1 % on the devices of MLPerf), and take longer


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Predictions of networks that were left out.

    Attributes:
        by_network: log milliseconds of each network of each device, by id; learned without it (rule 1).
        by_family: the same, learned without its family (rule 2).
        folds: parts of the networks, of which each was left out in turn.
        family_folds: parts of the families.
    """

    by_network: dict[str, Matrix]
    by_family: dict[str, Matrix]
    folds: int = FOLDS
    family_folds: int = FAMILY_FOLDS

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
) -> LeftOut:
    """Predict every network without itself, and without its family.

    Args:
        tables: all devices.
        jobs: processes at a time.
        tell: told what is done, a line at a time.
        folds: parts of the networks, of which each is left out in turn.
        family_folds: parts of the families.
    """
    say = tell or (lambda _: None)
    tasks = [(False, fold, folds) for fold in range(folds)] + [
        (True, fold, family_folds) for fold in range(family_folds)
    ]
    empty = {table.id: np.full(len(table.latency_ms), np.nan) for table in tables}
    found = {False: empty, True: {name: values.copy() for name, values in empty.items()}}
    for (families, fold, _), predictions in zip(tasks, _predict_folds(tables, tasks, jobs), strict=True):
        for name, rows, predicted in predictions:
            found[families][name][rows] = predicted
        say(f"left out {'families' if families else 'networks'}, part {fold + 1}")
    return LeftOut(found[False], found[True], folds, family_folds)


def _predict_folds(
    tables: Sequence[DeviceTable], tasks: Sequence[tuple[bool, int, int]], jobs: int
) -> Iterator[list[tuple[str, Matrix, Matrix]]]:
    if jobs == 1:
        for task in tasks:
            yield _predict_fold(tables, *task)
        return
    with ProcessPoolExecutor(jobs) as pool:
        for job in [pool.submit(_predict_fold, tables, *task) for task in tasks]:
            yield job.result()


def fold_of(name: str, folds: int) -> int:
    """The fold of a name (rule 3)."""
    return zlib.crc32(name.encode()) % folds


def parts_of(names: Sequence[str], folds: int) -> Matrix:
    """The fold of each name."""
    return np.array([fold_of(name, folds) for name in names], int)


def _predict_fold(
    tables: Sequence[DeviceTable], families: bool, fold: int, folds: int
) -> list[tuple[str, Matrix, Matrix]]:
    names = [table.families if families else table.networks for table in tables]
    out = [parts_of(own, folds) == fold for own in names]
    rest = [table.taken(~left) for table, left in zip(tables, out, strict=True)]
    population = fit_population(rest, ROUNDS)
    return [
        (table.id, np.flatnonzero(left), predict_log_ms(population.devices[table.id].theta, table.work[left]))
        for table, left in zip(tables, out, strict=True)
        if left.any()
    ]
