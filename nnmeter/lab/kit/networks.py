"""Which networks a kit has: random ones, planned as those of a campaign, and a few that people use.

Rules:

1. Seeds and recipes are those of a campaign (`nnmeter.lab.campaign`): the probes first, then the recipes of the
   prior. After a first result (`after`), the recipes of a plan made from it, behind the seeds that it has: what errs
   and what was not sampled comes more often.
2. A network that is too large for the device is left out: a weight larger than the shared file may hold, or more
   bytes of weights and activations than the limit. So is one that cannot be built.
3. What a network takes is foreseen for a plain machine (a start of the program, operations, bytes) and fills the budget
   once more than it would there: the script ends by the clock, and a kit that runs dry wastes the device.
4. Without a profiler most networks are small ones, as in a campaign: a time of few kernels tells more of each.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import MeasurementError, ModelError, NnmeterError
from nnmeter.formats import read_model
from nnmeter.graph.input_sizes import InputSizes
from nnmeter.graph.ir import Graph
from nnmeter.lab.campaign.planning import SMALL_SHARE, make_plan, prior_plan
from nnmeter.lab.campaign.probes import probes
from nnmeter.lab.campaign.recipes import PRIOR, random_network
from nnmeter.lab.campaign.samples import Samples
from nnmeter.operators.cost import graph_cost

if TYPE_CHECKING:
    import onnx

    from nnmeter.lab.measuring.measurement import Measurement

REFERENCE = "reference"  # name of the reference product
START_S = 0.15  # of a program of C++, the model loaded
_FLOPS_PER_MS, _BYTES_PER_MS, _OPERATOR_MS = 3e7, 1e7, 2e-3  # rule 3
_SPARE = 1.25
_PROBES = 250
_LEAST_FOR_A_PLAN = 25
_PLAIN_NAME = re.compile(r"[A-Za-z0-9._+-]+")


@dataclass(frozen=True)
class KitNetwork:
    """One network of a kit.

    Attributes:
        name: file name without suffix: `ghost-1000743`, or that of a real model.
        family: recipe of a random network, "" of a real one.
        model: it, with weights.
        cost_ms: what a run takes on a plain machine.
        timed_ms: milliseconds that its timed runs should take there.
        most_runs: timed runs at most.
    """

    name: str
    family: str
    model: onnx.ModelProto
    cost_ms: float
    timed_ms: float = 100.0
    most_runs: int = 15

    @property
    def runs(self) -> int:
        """Timed runs: what fits `timed_ms` there, at least five."""
        return max(5, min(self.most_runs, int(self.timed_ms / max(self.cost_ms, 1e-3))))

    @property
    def seconds(self) -> float:
        """What both of its rows take on a plain machine."""
        return 2 * START_S + (2 * self.runs + 3) * self.cost_ms / 1e3


def random_networks(
    seed: int, small: bool, most_bytes: int, after: Sequence[Measurement] = (), runtime_refuses: Sequence[str] = ()
) -> Iterator[KitNetwork]:
    """Random networks without end (rules 1, 2 and 4).

    Args:
        seed: first seed of a first kit.
        small: whether the runtime has no profiler.
        most_bytes: of weights and activations together.
        after: what a first kit measured.
        runtime_refuses: families that the runtime cannot run.
    """
    share = SMALL_SHARE if small else 0.0
    first = max((_seed_of(row.network) for row in after), default=-1) + 1
    begin = max(seed, first) if after else seed
    if len(after) >= _LEAST_FOR_A_PLAN:
        samples = Samples()
        samples.add([row for row in after if row.family in PRIOR])
        plan = make_plan(begin, PRIOR, share, samples)[0] if len(samples) >= _LEAST_FOR_A_PLAN else None
    else:
        plan = None
    plan = plan or prior_plan(begin, PRIOR, share)
    number = begin
    known = [] if after else list(probes()[:_PROBES])
    while True:
        made_of, recipe, little = (*known[number - begin], False) if number - begin < len(known) else (
            number, plan.recipe_of(number), plan.is_small(number)
        )  # fmt: skip
        if recipe not in runtime_refuses:
            network = _random_network(number, made_of, recipe, little, most_bytes)
            if network is not None:
                yield network
        number += 1


def _random_network(number: int, made_of: int, recipe: str, small: bool, most_bytes: int) -> KitNetwork | None:
    try:
        model = random_network(made_of, recipe, small)
        graph = bind_shapes(read_model(model))
    except (NnmeterError, ValueError, ArithmeticError, LookupError):
        return None
    if _bytes_of(graph) > most_bytes:
        return None
    return KitNetwork(f"{recipe}-{number}", recipe, model, _cost_ms(graph))


def real_networks(paths: Sequence[str | os.PathLike[str]], most_bytes: int) -> Iterator[KitNetwork]:
    """Models of people, weights drawn where the files lack them; those that are too large are left out (rule 2).

    Raises:
        ModelError: one cannot be read, or has free dimensions; a shell script would take its name for several words, or
            it has that of another one.
    """
    from nnmeter.lab.runtimes.preparation import prepare_model

    names = {REFERENCE}
    for path in paths:
        name = Path(path).stem
        if not _PLAIN_NAME.fullmatch(name):
            raise ModelError(f"{path}: its name has more than letters, digits and ._+- in it; rename it for a kit")
        if name in names:
            raise ModelError(f"{path}: another network of the kit is called {name}; rename it")
        names.add(name)
        graph = bind_shapes(read_model(path))
        if _bytes_of(graph) <= most_bytes:
            yield KitNetwork(name, "", prepare_model(path).proto, _cost_ms(graph))


def real_network(
    name: str, path: str | os.PathLike[str], sizes: InputSizes, timed_s: float, most_runs: int = 1000
) -> KitNetwork:
    """A model of somebody, its free dimensions bound, to be timed for so many seconds.

    Raises:
        ModelError: it cannot be read, or keeps free dimensions.
    """
    from nnmeter.lab.runtimes.preparation import prepare_model

    proto = prepare_model(path, sizes.dims, sizes.shapes).proto  # type: ignore[arg-type]  # one size for each
    return KitNetwork(name, "", proto, _cost_ms(bind_shapes(read_model(path), sizes)), timed_s * 1e3, most_runs)


def _cost_ms(graph: Graph) -> float:
    cost = graph_cost(graph)
    moved = cost.bytes_read + cost.bytes_written
    return cost.flops / _FLOPS_PER_MS + moved / _BYTES_PER_MS + len(graph.nodes) * _OPERATOR_MS


def _bytes_of(graph: Graph) -> int:
    """Weights, and the three largest results, which may be there together."""
    weights = sum(graph.types[name].bytes for name in graph.initializers)
    results = sorted(graph.types[n].bytes for node in graph.nodes for n in node.outputs if n in graph.types)
    return weights + sum(results[-3:])


def _seed_of(network: str) -> int:
    text = network.rpartition("-")[2]
    return int(text) if text.isdecimal() and len(text) < 10 else -1


def fill(networks: Iterator[KitNetwork], budget_s: float, most: int) -> Iterator[KitNetwork]:
    """The first of them, as many as fill a budget (rule 3).

    Raises:
        MeasurementError: the budget is too short for one.
    """
    spent_s, count = 0.0, 0
    for network in networks:
        spent_s += network.seconds
        count += 1
        yield network
        if spent_s >= _SPARE * budget_s or count >= most:
            return
    if not count:
        raise MeasurementError(f"a budget of {budget_s:.0f} s has no room for a network; give more, such as 5m")
