"""The bench: the models of some tests, live, timed in sweeps, and their kernels.

1. Models that several tests need (the head that two of them share, the empty model) are compiled once.
2. A sweep runs a block of every model that is still needed, in an order drawn anew, and then the reference
   (`nnmeter.lab.measuring.protocol`, rule 1), which shows how quiet the machine is. Times are not divided by it: a
   sweep meets all models, and a reference that was disturbed itself would disturb what it is to correct (`decision`,
   rule 3).
3. A block is `COLD_INFERENCES` inferences that do not count, because what ran before has emptied the caches (behind the
   reference the first inference of a model takes up to twice as long as the third), and `TIMED_INFERENCES` that are
   timed one by one. All blocks are alike: one of another length would be another mixture of slow and fast.
4. Models are compiled anew for every round (`renew`), because copies of one model differ a little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from nnmeter.binding.bind import bind_shapes
from nnmeter.formats import read_model
from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.engine.rules import FusionRules
from nnmeter.lab.discovery.catalogue import SIZES, FusionTest, Operator, operators_of
from nnmeter.lab.discovery.counting import kernel_types
from nnmeter.lab.discovery.models import build_model, operator_nodes
from nnmeter.lab.measuring.protocol import Clock, Stopwatch
from nnmeter.lab.runtimes.base import CompiledModel, RuntimeAdapter

COLD_INFERENCES, TIMED_INFERENCES = 2, 8


class ModelKey(NamedTuple):
    """What tells the models of one size apart."""

    domain: str
    operators: tuple[str, ...]
    alone: bool = False


def models_of(test: FusionTest) -> dict[str, ModelKey]:
    """The model of each role of a test (`decision.ROLES`)."""
    middle = test.middle
    tail = operators_of((test.tail,), middle)[0]
    return {
        "joined": ModelKey(test.domain, (*test.head, test.tail)),
        "head": ModelKey(test.domain, test.head),
        "tail": ModelKey(middle, (test.tail,), _reads_origin(tail)),
        "empty": ModelKey(test.domain, ()),
        "middle": ModelKey(middle, ()),
    }


class Bench:
    """Compiled models of one size; use as a context manager.

    Attributes:
        executed: for each model the types of the kernels that the runtime says it executes.
        tells: whether the runtime has said of any model what it executes (of one that only splits it may say nothing).
        foreseen: for each model the types of the kernels that the rules foresee.
    """

    def __init__(
        self,
        runtime: RuntimeAdapter,
        threads: int,
        sizes: Mapping[str, int],
        seed: int = 0,
        rules: FusionRules | None = None,
    ) -> None:
        """Prepares an empty bench; `rules`, where given, foresee the kernels of every model that is added."""
        self._runtime = runtime
        self._threads = threads
        self._sizes = sizes
        self._seed = seed
        self._rules = rules
        self._live: dict[ModelKey, CompiledModel] = {}
        self._times_s: dict[ModelKey, list[list[float]]] = {}
        self.executed: dict[ModelKey, list[str]] = {}
        self.tells = False
        self.foreseen: dict[ModelKey, list[str]] = {}

    def add(self, key: ModelKey, kernels: bool = True) -> None:
        """Compile a model, unless it is there; `kernels`: ask the runtime what it executes.

        Raises:
            NnmeterError: the runtime refuses the model.
        """
        if key in self._live:
            return
        source = self._source(key, self._seed)
        if self._rules is not None:
            self.foreseen[key] = kernel_types(detect_kernels(bind_shapes(read_model(source)), self._rules))
        model = self._runtime.compile(source, self._threads, seed=self._seed)
        self._live[key] = model
        if kernels:
            listed = model.kernels
            self.executed[key] = kernel_types(listed)
            self.tells |= len(listed) > 0

    def renew(self, keys: Iterable[ModelKey], copy: int) -> None:
        """Compile the models with these keys again, with other weights, and drop all old copies (rule 4)."""
        self._close()
        for key in dict.fromkeys(keys):
            seed = self._seed + copy
            self._live[key] = self._runtime.compile(self._source(key, seed), self._threads, seed=seed)

    def sweep(self, keys: Iterable[ModelKey], stopwatch: Stopwatch, clock: Clock, rng: np.random.Generator) -> None:
        """Run a block of each model (rules 2 and 3)."""
        wanted = list(dict.fromkeys(keys))
        order = [wanted[place] for place in rng.permutation(len(wanted))]
        blocks: dict[ModelKey, list[float]] = {}

        def run_sweep() -> None:
            for key in order:
                blocks[key] = _run_block(self._live[key].run, clock)

        stopwatch.time(run_sweep)
        for key, times_s in blocks.items():
            self._times_s.setdefault(key, []).append(times_s)

    def times_ms(self, key: ModelKey) -> np.ndarray[Any, Any]:
        """Milliseconds of every timed inference so far, of shape (sweeps, TIMED_INFERENCES)."""
        return np.array(self._times_s[key]) * 1e3

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        for model in self._live.values():
            model.close()
        self._live.clear()

    def _source(self, key: ModelKey, seed: int) -> bytes:
        operators = operators_of(key.operators, key.domain)
        return build_model(key.domain, operators, self._sizes, key.alone, seed).SerializeToString()


def _run_block(run: Callable[[], None], clock: Clock) -> list[float]:
    """Seconds of the timed inferences of one block (rule 3)."""
    for _ in range(COLD_INFERENCES):
        run()
    readings = [clock()]
    for _ in range(TIMED_INFERENCES):
        run()
        readings.append(clock())
    return [after - before for before, after in pairwise(readings)]


def _reads_origin(operator: Operator) -> bool:
    return any("o" in node.input for node in operator_nodes(operator.body.format_map(SIZES[0])))
