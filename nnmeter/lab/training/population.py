"""One model of all devices whose latencies were published: rates by sorts of work, each device borrowing from the rest.

Rules:

1. A network's time on a device is `sum over sorts (work x exp(theta)) + exp(theta of an inference)`; `theta` are the
   logarithms of the device's rates (`nnmeter.predictor.work`). Errors are of logarithms, Student's with `FREEDOM`
   degrees of freedom, so that a row that is broken moves little.
2. Three levels. A *sort of device* (CPU, GPU, NPU with its element type) has usual rates; an *engine* (a runtime on
   such a device) differs from them; a *device* differs from the usual one of its engine. Each difference is Gaussian
   around zero a priori, the smaller the lower the level. Settings of one piece of hardware are nearer to each other
   than to others.
3. What an engine does to a network is alike on all of its devices: a hundred devices with twenty networks say twenty
   things of the engine, not two thousand. So the rates of an engine are fitted to the mean of its devices, one row a
   network, and what they leave of a network (`engine misfit`) is taken off before devices are fitted.
4. The covariance of the differences between devices is learned from all of them (empirical Bayes, by expectation
   maximisation: Dempster, Laird, Rubin 1977), held to `_start_covariance` as if that were `_PRIOR_DEVICES` more. It
   says how rates go together: a fast device is fast at all, one with slow depthwise convolutions has slow ones of every
   stride. So a device with a dozen networks is known where these tell of it, and is like its relatives elsewhere.
5. Rates are the maximum a posteriori by Gauss-Newton; their covariance is that of the last linearisation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from nnmeter.predictor.work import SORTS

COLUMNS = (*SORTS, "inference")  # what has a rate: sorts of work, and an inference as such
FREEDOM = 5.0
_SHARE_OF_HARDWARE = 0.6  # of what devices of an engine differ by, the part that settings of one hardware share
_ENGINE_WIDTH, _SORT_WIDTH = 1.0, 1.0  # deviations of `_start_covariance` by which engines and sorts of devices differ
_PRIOR_DEVICES = 15.0
_ROUNDS, _STEPS, _FEW_STEPS = 8, 8, 3  # few where a round that follows goes on from what is found
_LARGEST_STEP, _SETTLED = 2.0, 3e-3
_LEAST_NOISE, _FIRST_NOISE = 0.01, 0.1

Matrix = np.ndarray


@dataclass(frozen=True, slots=True)
class DeviceTable:
    """What is known of one device: networks as work, and their times.

    Attributes:
        id: name of the device.
        sort: what sort of device it is: `cpu float32`.
        engine: the runtime on such a device: `cpu float32 ncnn`.
        hardware: the piece of hardware, which other settings may share.
        work: amounts of work of each network [networks, columns].
        latency_ms: measured times [networks].
        networks: their names.
        families: their families.
    """

    id: str
    sort: str
    engine: str
    hardware: str
    work: Matrix
    latency_ms: Matrix
    networks: tuple[str, ...]
    families: tuple[str, ...]

    def taken(self, rows: Matrix) -> DeviceTable:
        """Some of its networks."""
        places = np.flatnonzero(rows) if rows.dtype == bool else rows
        return DeviceTable(
            self.id,
            self.sort,
            self.engine,
            self.hardware,
            self.work[places],
            self.latency_ms[places],
            tuple(self.networks[i] for i in places),
            tuple(self.families[i] for i in places),
        )


@dataclass(frozen=True, slots=True)
class DeviceRates:
    """What is known of a device's rates.

    Attributes:
        theta: logarithms of the rates [columns].
        mean: what they are before its own networks are looked at [columns].
        covariance: of theta, a posteriori [columns, columns].
        noise: standard deviation of the log error of a network.
        used: degrees of freedom that its networks were fitted with.
        doubt: variance of the log rates of its engine and of its sort themselves [columns], which `covariance` is
            without; None where they are part of it.
    """

    theta: Matrix
    mean: Matrix
    covariance: Matrix
    noise: float
    used: float
    doubt: Matrix | None = None


@dataclass(frozen=True, slots=True)
class Population:
    """What all devices say of a new one.

    Attributes:
        covariance: of log rates among devices of an engine [columns, columns] (rule 4).
        usual: log rates of no device in particular [columns].
        sorts: those of the usual device of a sort [columns], by sort.
        engines: those of the usual device of an engine [columns], by engine.
        hardware: how a piece of hardware differs from the usual one of its engines [columns], by hardware.
        misfits: standard deviation of what the usual rates of an engine leave of a network, by engine.
        noise: usual standard deviation of the log error of a network on a device, beside that.
        devices: what is known of each device that was learned from, by id.
        doubts: variance of the usual log rates of an engine and of its sort [columns], by engine.
    """

    covariance: Matrix
    usual: Matrix
    sorts: Mapping[str, Matrix]
    engines: Mapping[str, Matrix]
    hardware: Mapping[str, Matrix]
    misfits: Mapping[str, float]
    noise: float
    devices: Mapping[str, DeviceRates] = field(default_factory=dict)
    doubts: Mapping[str, Matrix] = field(default_factory=dict)

    def prior(self, sort: str, engine: str, hardware: str) -> tuple[Matrix, Matrix]:
        """Mean and covariance of the log rates of a device, before its networks are looked at."""
        mean, covariance = self.usual, self.covariance
        if engine in self.engines:
            mean = self.engines[engine]
        elif sort in self.sorts:
            mean = self.sorts[sort]
            covariance = covariance + _ENGINE_WIDTH**2 * _start_covariance()
        else:
            covariance = covariance + (_ENGINE_WIDTH**2 + _SORT_WIDTH**2) * _start_covariance()
        if hardware in self.hardware:
            mean = mean + self.hardware[hardware]
        return mean, covariance

    def noise_of(self, engine: str) -> float:
        """Standard deviation of the log error of a network that no device of an engine was seen with."""
        usual = float(np.median(list(self.misfits.values()))) if self.misfits else 0.0
        return float(np.hypot(self.noise, self.misfits.get(engine, usual)))

    def fit(self, table: DeviceTable) -> DeviceRates:
        """The rates of a device that is new, or known by other networks."""
        mean, covariance = self.prior(table.sort, table.engine, table.hardware)
        rates = fit_rates(table.work, np.log(table.latency_ms), mean, covariance, self.noise_of(table.engine))
        return replace(rates, doubt=self.doubts.get(table.engine))


def predict_log_ms(theta: Matrix, work: Matrix) -> Matrix:
    """Logarithms of the milliseconds of networks [networks]."""
    found: Matrix = np.log(np.maximum(work @ np.exp(theta), 1e-12))
    return found


def fit_rates(
    work: Matrix,
    log_ms: Matrix,
    mean: Matrix,
    covariance: Matrix,
    noise: float,
    weight: Matrix | None = None,
    start: Matrix | None = None,
    steps: int = _STEPS,
) -> DeviceRates:
    """The maximum a posteriori of a device's log rates (rule 5).

    Args:
        work: of its networks [networks, columns].
        log_ms: logarithms of their times [networks].
        mean: of the log rates a priori [columns].
        covariance: of them a priori [columns, columns].
        noise: standard deviation of the log error of a network.
        weight: of each network, 1 if not given.
        start: where to begin; at the mean if not given.
        steps: of Gauss-Newton, at most.
    """
    given = np.ones(len(log_ms)) if weight is None else weight
    active = np.flatnonzero((work > 0).any(axis=0))
    amounts, prior = work[:, active], covariance[np.ix_(active, active)]
    centre = mean[active]
    theta = centre if start is None else start[active]
    few = len(log_ms) < len(active)
    precision = np.zeros(0) if few else np.linalg.inv(prior)
    weights = given
    for step in range(steps):
        parts = amounts * np.exp(theta)
        totals = np.maximum(parts.sum(axis=1), 1e-12)
        shares = parts / totals[:, None]
        error = log_ms - np.log(totals)
        if step > 1 or start is not None:  # at first every network is far off
            weights = given * (FREEDOM + 1.0) / (FREEDOM + (error / noise) ** 2)
        gain = _gain(shares, weights / noise**2, prior, precision)
        change = centre + gain @ (error + shares @ (theta - centre)) - theta
        largest = float(np.abs(change).max(initial=0.0))
        theta = theta + change * min(1.0, _LARGEST_STEP / max(largest, 1e-9))
        if largest < _SETTLED:
            break
    gain = _gain(shares, weights / noise**2, prior, precision) if len(log_ms) else np.zeros((len(active), 0))
    # What is known of the work that these networks do tells of the rest by the covariance.
    own = covariance[active]
    across = np.linalg.solve(prior, own).T if few else own.T @ precision
    posterior = covariance - (across @ gain) @ (shares @ own) if len(log_ms) else covariance
    used = float(np.einsum("ij,ji->", shares, gain)) if len(log_ms) else 0.0
    return DeviceRates(mean + across @ (theta - centre), mean, posterior, noise, used)


def _gain(shares: Matrix, weights: Matrix, prior: Matrix, precision: Matrix) -> Matrix:
    """By how much rates follow the errors of networks [columns, networks]; solved in the smaller of both spaces."""
    if len(precision):
        weighted = shares.T * weights
        found: Matrix = np.linalg.solve(precision + weighted @ shares, weighted)
        return found
    part = prior @ shares.T
    found = np.linalg.solve(shares @ part + np.diag(1.0 / weights), part.T).T
    return found


def fit_population(
    tables: Sequence[DeviceTable], rounds: int = _ROUNDS, tell: Callable[[str], None] | None = None
) -> Population:
    """Learn from all devices (rules 2 to 4)."""
    start = _start_covariance()
    covariance = 0.3 * start
    covariances: dict[str, Matrix] = {}
    usual = _usual_rates(tables)
    engines = _members([table.engine for table in tables])
    noise = np.full(len(tables), _FIRST_NOISE)
    shared = np.zeros((len(tables), len(COLUMNS)))
    sorts: dict[str, DeviceRates] = {}
    of_engine: dict[str, DeviceRates] = {}
    found: list[DeviceRates] = []
    # Speed of each device over that of the usual one, at first by networks that any two of an engine share.
    thetas = np.array([usual + _speed(np.log(table.latency_ms), usual, table.work) for table in tables])
    for number in range(rounds):
        sorts, of_engine, misfits = _fit_engines(tables, engines, thetas, usual, start)
        hardware = _hardware(tables, thetas, of_engine)
        steps = _STEPS if number == rounds - 1 else _FEW_STEPS
        found, spreads = [], {engine: np.zeros_like(covariance) for engine in engines}
        for place, table in enumerate(tables):
            shared[place] = of_engine[table.engine].theta + hardware[table.hardware]
            target = np.log(table.latency_ms) - misfits[place]
            own = covariances.get(table.engine, covariance)
            rates = fit_rates(table.work, target, shared[place], own, float(noise[place]), None, thetas[place], steps)
            found.append(rates)
            apart = rates.theta - of_engine[table.engine].theta
            spreads[table.engine] += np.outer(apart, apart) + rates.covariance
        thetas = np.array([rates.theta for rates in found])
        total = np.sum(list(spreads.values()), axis=0)
        covariance = (total + _PRIOR_DEVICES * 0.3 * start) / (len(tables) + _PRIOR_DEVICES)
        covariances = {
            engine: (spreads[engine] + _PRIOR_DEVICES * covariance) / (len(members) + _PRIOR_DEVICES)
            for engine, members in engines.items()
        }
        noise = _noises(tables, found, misfits)
        if tell:
            tell(f"round {number + 1} of {rounds}: noise {np.median(noise):.4f}")
    doubts = {
        engine: np.diag(of_engine[engine].covariance) + np.diag(sorts[tables[members[0]].sort].covariance)
        for engine, members in engines.items()
    }
    return Population(
        covariance,
        usual,
        {name: rates.theta for name, rates in sorts.items()},
        {name: rates.theta for name, rates in of_engine.items()},
        hardware,
        {name: rates.noise for name, rates in of_engine.items()},
        float(np.median(noise)),
        {table.id: replace(rates, doubt=doubts[table.engine]) for table, rates in zip(tables, found, strict=True)},
        doubts,
    )


def _members(names: Sequence[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        found.setdefault(name, []).append(place)
    return found


def _speed(log_ms: Matrix, theta: Matrix, work: Matrix) -> float:
    """How much slower networks are than rates say, in logarithms; 0 where there are none."""
    return float(np.median(log_ms - predict_log_ms(theta, work))) if len(work) else 0.0


def _fit_engines(
    tables: Sequence[DeviceTable],
    engines: Mapping[str, list[int]],
    thetas: Matrix,
    usual: Matrix,
    start: Matrix,
) -> tuple[dict[str, DeviceRates], dict[str, DeviceRates], list[Matrix]]:
    """Rates of sorts and of engines, and what engines leave of each network of each device (rule 3).

    A row of an engine is a network: its work, and the mean over devices of how far it lies from what the device's own
    rates say, on top of what the usual rates of the engine say.
    """
    rows: dict[str, tuple[Matrix, Matrix, Matrix, list[Matrix]]] = {}
    for engine, members in engines.items():
        centre = thetas[members].mean(axis=0)
        keys: dict[bytes, int] = {}
        places = []
        for member in members:
            table = tables[member]
            places.append(np.array([keys.setdefault(work.tobytes(), len(keys)) for work in table.work], int))
        work = np.zeros((len(keys), len(COLUMNS)))
        total, count = np.zeros(len(keys)), np.zeros(len(keys))
        for member, place in zip(members, places, strict=True):
            table = tables[member]
            work[place] = table.work
            residual = np.log(table.latency_ms) - predict_log_ms(thetas[member], table.work)
            np.add.at(total, place, np.clip(residual, -1.0, 1.0))
            np.add.at(count, place, 1.0)
        target = predict_log_ms(centre, work) + total / np.maximum(count, 1.0)
        # A network that few of the engine's devices have says less: its mean has more of their own noise.
        weight = count / (count + 1.0)
        rows[engine] = (work, target, weight, places)
    sorts = {
        sort: _fit_sort([rows[e] for e in names], usual, start) for sort, names in _by_sort(tables, engines).items()
    }
    found: dict[str, DeviceRates] = {}
    misfits: list[Matrix] = [np.zeros(0)] * len(tables)
    for engine, members in engines.items():
        work, target, weight, places = rows[engine]
        mean = sorts[tables[members[0]].sort].theta
        mean = mean + _speed(target, mean, work)
        prior = _ENGINE_WIDTH**2 * start
        rates = _fit_with_noise(work, target, mean, prior, weight)
        left = target - predict_log_ms(rates.theta, work)
        found[engine] = rates
        for member, place in zip(members, places, strict=True):
            misfits[member] = (left * weight * _shrunk(len(members)))[place]
    return sorts, found, misfits


def _shrunk(devices: int) -> float:
    """Of what an engine leaves of a network, the part that is not of its few devices themselves."""
    return devices / (devices + 2.0)


def _by_sort(tables: Sequence[DeviceTable], engines: Mapping[str, list[int]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for engine, members in engines.items():
        found.setdefault(tables[members[0]].sort, []).append(engine)
    return found


def _fit_sort(rows: Sequence[tuple[Matrix, Matrix, Matrix, list[Matrix]]], usual: Matrix, start: Matrix) -> DeviceRates:
    """The usual rates of a sort of device: of all its engines' networks, each engine brought to one speed."""
    work = np.concatenate([own[0] for own in rows])
    levels = [_speed(own[1], usual, own[0]) for own in rows]
    middle = float(np.median(levels))
    target = np.concatenate([own[1] - level + middle for own, level in zip(rows, levels, strict=True)])
    weight = np.concatenate([own[2] for own in rows])
    return _fit_with_noise(work, target, usual + middle, _SORT_WIDTH**2 * start, weight)


def _fit_with_noise(work: Matrix, target: Matrix, mean: Matrix, covariance: Matrix, weight: Matrix) -> DeviceRates:
    """Rates with the noise that the rows themselves show, found in a few turns."""
    noise = _FIRST_NOISE
    rates = fit_rates(work, target, mean, covariance, noise, weight)
    for _ in range(3 if len(work) else 0):
        error = target - predict_log_ms(rates.theta, work)
        freedom = max(len(error) - rates.used, 0.2 * len(error)) + 2.0
        scale = 1.4826 * float(np.median(np.abs(error)))
        robust = np.minimum(np.abs(error), 3.0 * max(scale, 1e-3))
        noise = max(float(np.sqrt(((robust**2).sum() + 2.0 * _FIRST_NOISE**2) / freedom)), _LEAST_NOISE)
        rates = fit_rates(work, target, mean, covariance, noise, weight, rates.theta, _FEW_STEPS)
    return rates


def _hardware(tables: Sequence[DeviceTable], thetas: Matrix, of_engine: Mapping[str, DeviceRates]) -> dict[str, Matrix]:
    """How hardware differs from the usual one of its engines, shrunk by how many settings say so (rule 2)."""
    apart = np.array([theta - of_engine[t.engine].theta for t, theta in zip(tables, thetas, strict=True)])
    odds = _SHARE_OF_HARDWARE / (1.0 - _SHARE_OF_HARDWARE)
    return {
        name: apart[members].sum(axis=0) * odds / (1.0 + odds * len(members))
        for name, members in _members([table.hardware for table in tables]).items()
    }


def _start_covariance() -> Matrix:
    """Rates go together: all, those of one group more so, and those of bytes, of launches, and of FLOPs."""
    groups = [name.partition(".")[0] for name in COLUMNS]
    sorts = [name.partition(".")[2].rstrip("0123456789") for name in COLUMNS]
    same_group = np.array([[a == b for b in groups] for a in groups], float)
    same_sort = np.array([[a == b for b in sorts] for a in sorts], float)
    same_both = same_group * same_sort
    return 0.3 + 0.1 * same_group + 0.2 * same_sort + 0.2 * same_both + 0.1 * np.eye(len(COLUMNS))


def _usual_rates(tables: Sequence[DeviceTable]) -> Matrix:
    """Log rates of no device in particular: 20 GFLOP/s, 10 GB/s, 5 microseconds a launch, 50 an inference."""
    rates = []
    for name in COLUMNS:
        sort = name.partition(".")[2].rstrip("0123456789")
        rates.append({"flops": 0.05, "bytes": 0.1, "launch": 0.005, "elements": 0.05}.get(sort, 0.05))
    base = np.log(rates)
    scale = [_speed(np.log(table.latency_ms), base, table.work) for table in tables]
    found: Matrix = base + float(np.median(scale))
    return found


def _noises(tables: Sequence[DeviceTable], found: Sequence[DeviceRates], misfits: Sequence[Matrix]) -> Matrix:
    """The noise of each device, of errors and degrees of freedom left, held to that of all by 10 networks' worth."""
    squares, freedoms = [], []
    for table, rates, misfit in zip(tables, found, misfits, strict=True):
        if not len(table.work):
            squares.append(0.0)
            freedoms.append(0.0)
            continue
        error = np.log(table.latency_ms) - misfit - predict_log_ms(rates.theta, table.work)
        scale = 1.4826 * float(np.median(np.abs(error)))
        robust = np.minimum(np.abs(error), 3.0 * max(scale, 1e-3))
        squares.append(float((robust**2).sum()))
        freedoms.append(max(len(error) - rates.used, 0.25 * len(error)))
    overall = float(np.median(np.sqrt(np.array(squares) / np.maximum(freedoms, 1.0))))
    noises = np.sqrt((np.array(squares) + 10.0 * overall**2) / (np.array(freedoms) + 10.0))
    found_: Matrix = np.maximum(noises, _LEAST_NOISE)
    return found_
