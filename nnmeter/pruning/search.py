"""Which channels should go so that a model fits a budget on a device, with the least loss.

1. Of each group the widths are tried at which a device has a stair: multiples of what runtimes block by. A width that
   takes as long as a wider one is left out; a group none of whose widths gains is left as it is, and named.
2. What a width gains depends on those of the groups around it. So gains are taken at a point (at first the model as it
   is), the widths of least loss that gain enough by these are chosen (`knapsack.py`), and they are the next point,
   until it stays or rounds are over. From the second round on, widths near the point are looked at.
3. Every point is predicted as a whole model. The one of least loss that keeps the budget counts, and last each group is
   made wider again as long as the budget holds.
4. A budget with a probability is kept where the prediction's intervals say that the measured time does so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nnmeter.advice.trial import Workbench
from nnmeter.comparison.comparison import compare_predictions
from nnmeter.errors import NnmeterError
from nnmeter.formats import read_model
from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes
from nnmeter.prediction.probability import quantile_ms
from nnmeter.pruning.bench import PruningBench, Widths, with_width
from nnmeter.pruning.groups import PrunableGroup, widths_to_try
from nnmeter.pruning.knapsack import choose_widths
from nnmeter.pruning.pruned import Pruned, Removal
from nnmeter.pruning.removals import kept_by_masks, kept_by_shares
from nnmeter.pruning.sensitivity import Losses, Sensitivity
from nnmeter.wording import format_ms

if TYPE_CHECKING:
    from nnmeter.prediction.predict import LatencyPredictor

MULTIPLE = 8  # of which widths are multiples
NARROWEST = 0.25  # share of a layer's channels that stays at least

_ROUNDS = 6
_FEW_GROUPS = 30
_FIRST_WIDTHS = 300  # that the first round tries about, of all groups; of one, 4 to 10
_NOTHING = 0.001  # share of the model's time that counts as no gain of a group
_IDLE = 0.1  # share of their part of a removal's gain up to which channels gain nothing
_TIGHTER = 0.98
_EDGES = (8, 16, 32, 64)

Progress = Callable[[int], None]


def prune_to_budget(
    model: Any,
    predictor: LatencyPredictor,
    budget_ms: float,
    sensitivity: Sensitivity | None = None,
    sizes: InputSizes = AS_DECLARED,
    *,
    probability: float | None = None,
    keep: Sequence[str] = (),
    narrowest: float = NARROWEST,
    multiple: int = MULTIPLE,
    confidence: float = 0.9,
    name: str | None = None,
    progress: Progress | None = None,
) -> Pruned:
    """Find the channels that should go so that a model takes at most so long on a device.

    Args:
        model: path, bytes, binary file object, `onnx.ModelProto`, or `UnboundModel`; weights are not needed.
        predictor: of the device.
        budget_ms: what it may take, in milliseconds.
        sensitivity: what layers lose where channels go; every layer counts the same if not given.
        sizes: what the model leaves open.
        probability: with which the measured time is to keep the budget; the predicted time keeps it if not given.
        keep: layers that keep their channels, and with them all that go with them.
        narrowest: share of each layer's channels that stays at least.
        multiple: of which widths are multiples, where blocks allow.
        confidence: of the intervals: 0.5, 0.8, 0.9 or 0.95.
        name: what to call the model, in place of its path.
        progress: told how many models were predicted.

    Raises:
        NnmeterError: the budget cannot be kept, or a sensitivity does not fit.
        TransformError: a layer is not known.
        ModelError: the model cannot be read, or dimensions remain free.
    """
    bench = _bench(model, predictor, sizes, confidence, name, progress)
    before = bench.bench.before
    losses = Losses(bench.prunable, sensitivity)
    kept = {bench.prunable.group_of(layer) for layer in keep}
    free = [group for group in bench.groups if group not in kept and losses.prunes(group)]
    if not free:
        raise NnmeterError(f"{bench.bench.name}: there is no layer whose channels may go; name fewer layers to keep")
    target = (
        budget_ms
        if probability is None
        else budget_ms * before.latency_ms / quantile_ms(before.latency_ms, before.probability_within, probability)
    )
    if before.latency_ms <= target:
        return _result(bench, bench.own, losses, (), budget_ms)
    search = _Search(bench, losses, free, narrowest, multiple)
    while True:
        widths = search.run(target)
        found = _result(bench, widths, losses, search.useless, budget_ms)
        if probability is None or found.after.probability_within(budget_ms) >= probability:
            return found
        target *= _TIGHTER


def remove_channels(
    model: Any,
    predictor: LatencyPredictor,
    *,
    masks: Mapping[str, Any] | None = None,
    shares: Mapping[str, float] | None = None,
    sizes: InputSizes = AS_DECLARED,
    confidence: float = 0.9,
    name: str | None = None,
    progress: Progress | None = None,
) -> Pruned:
    """Predict what a model takes without some channels, and which of the removals gain nothing.

    Args:
        model: path, bytes, binary file object, `onnx.ModelProto`, or `UnboundModel`; weights are not needed.
        predictor: of the device.
        masks: by the name of a layer, as `nnmeter.pruning.removals.kept_by_masks` takes them.
        shares: by the name of a layer, the share of its channels that goes; in place of masks.
        sizes: what the model leaves open.
        confidence: of the intervals: 0.5, 0.8, 0.9 or 0.95.
        name: what to call the model, in place of its path.
        progress: told how many models were predicted.

    Raises:
        NnmeterError: a mask or a share does not fit its layer.
        TransformError: a layer is not known, or its channels cannot go.
        ModelError: the model cannot be read, or dimensions remain free.
    """
    if (masks is None) == (shares is None):
        raise NnmeterError("give masks or shares of channels, one of the two")
    bench = _bench(model, predictor, sizes, confidence, name, progress)
    if masks is not None:
        stays = {layer: int(kept.sum()) for layer, kept in kept_by_masks(bench.prunable, masks).items()}
    else:
        stays = kept_by_shares(bench.prunable, shares or {})
    return _result(bench, tuple([stays.get(g.layers[0], g.channels) for g in bench.groups]), None, (), None)


def _bench(
    model: Any,
    predictor: LatencyPredictor,
    sizes: InputSizes,
    confidence: float,
    name: str | None,
    progress: Progress | None,
) -> PruningBench:
    unbound = read_model(model, name)
    called = name or (os.fspath(model) if isinstance(model, str | os.PathLike) else unbound.name)
    return PruningBench(Workbench(unbound, predictor, sizes, confidence, called), progress)


class _Search:
    """The search on one model; what it learnt of stairs serves every budget."""

    def __init__(
        self, bench: PruningBench, losses: Losses, free: Sequence[PrunableGroup], narrowest: float, multiple: int
    ) -> None:
        self.bench = bench
        self.losses = losses
        self.useless: tuple[PrunableGroup, ...] = ()
        total = bench.bench.before.latency_ms
        useless = []
        most = min(max(_FIRST_WIDTHS // len(free), 4), 10)
        self._near = 2 if len(free) <= _FEW_GROUPS else 1  # widths on either side of a point that later rounds look at
        self.options: dict[int, tuple[int, ...]] = {}  # by the place of a group, the widths that gain (rule 1)
        for group in free:
            place = bench.place(group)
            widths = self._stair(place, widths_to_try(group, narrowest, multiple, most), _NOTHING * total)
            if len(widths) > 1:
                self.options[place] = widths
            else:
                useless.append(group)
        self.useless = tuple(useless)

    def _stair(self, place: int, widths: Sequence[int], nothing: float) -> tuple[int, ...]:
        """The widths that are faster than every wider one."""
        kept: list[int] = []
        fastest = np.inf
        for width in widths:
            taken = self.bench.latency_ms(with_width(self.bench.own, place, width))
            if taken is not None and taken < fastest - nothing:
                kept.append(width)
                fastest = taken
        return tuple(kept)

    def run(self, target: float) -> Widths:
        """The widths of least loss that keep a time (rules 2 and 3).

        Raises:
            NnmeterError: none do.
        """
        narrow = self._narrowest()
        least = self.bench.latency_ms(narrow)
        if least is None or least > target:
            takes = "cannot be made" if least is None else f"takes {format_ms(least)} ms"
            all_have = all(self.losses.prunes(group) for group in self.bench.groups)
            entries = "" if all_have else f", or entries for more layers in {self.losses.source}"
            raise NnmeterError(
                f"{self.bench.bench.name}: {format_ms(target)} ms cannot be kept; the narrowest that is tried {takes}; "
                f"give a larger budget, a smaller --narrowest, or fewer layers to keep{entries}"
            )
        best, point, wanted = narrow, self.bench.own, target
        for number in range(_ROUNDS):
            chosen = self._choose(point, wanted, everywhere=number == 0) or narrow
            taken = self.bench.latency_ms(chosen)
            if taken is not None and taken <= target and self._loss(chosen) < self._loss(best):
                best = chosen
            if taken is None or chosen == point:
                wanted *= _TIGHTER
            if chosen == point and taken is not None and taken <= target:
                break
            point = chosen if taken is not None else best
        return self._widened(best, target)

    def _narrowest(self) -> Widths:
        widths = self.bench.own
        for place, options in self.options.items():
            widths = with_width(widths, place, options[-1])
        return widths

    def _choose(self, point: Widths, target: float, everywhere: bool) -> Widths | None:
        """The widths of least loss by the gains at a point; None where they do not gain enough."""
        now = self.bench.latency_ms(point)
        assert now is not None  # a point was predicted
        base = now
        tables: list[tuple[int, list[int], list[float]]] = []
        for place, options in self.options.items():
            at = options.index(point[place])
            near = options if everywhere else options[max(at - self._near, 0) : at + self._near + 1]
            taken = [(width, self.bench.latency_ms(with_width(point, place, width))) for width in near]
            known = [(width, ms) for width, ms in taken if ms is not None]
            tables.append((place, [width for width, _ in known], [ms for _, ms in known]))
            base += known[0][1] - now  # as if the widest were chosen everywhere
        gains = [[times[0] - ms for ms in times] for _, _, times in tables]
        losses = [[self.losses.of(self.bench.groups[p], width) for width in widths] for p, widths, _ in tables]
        places = choose_widths(gains, losses, base - target)
        if places is None:
            return None
        chosen = point
        for (place, widths, _), number in zip(tables, places, strict=True):
            chosen = with_width(chosen, place, widths[number])
        return chosen

    def _widened(self, widths: Widths, target: float) -> Widths:
        """Wider again, group by group, as long as the time is kept: first where a step wins back most."""
        while True:
            steps = []
            for place, options in self.options.items():
                at = options.index(widths[place])
                if at:
                    group = self.bench.groups[place]
                    back = self.losses.of(group, widths[place]) - self.losses.of(group, options[at - 1])
                    steps.append((back, with_width(widths, place, options[at - 1])))
            for back, wider in sorted(steps, key=lambda step: -step[0]):
                taken = self.bench.latency_ms(wider) if back > 0 else None
                if taken is not None and taken <= target:
                    widths = wider
                    break
            else:
                return widths

    def _loss(self, widths: Widths) -> float:
        return sum(self.losses.of(g, width) for g, width in zip(self.bench.groups, widths, strict=True)
                   if width != g.channels)  # fmt: skip


def _result(
    bench: PruningBench,
    widths: Widths,
    losses: Losses | None,
    useless: Sequence[PrunableGroup],
    budget_ms: float | None,
) -> Pruned:
    changed = bench.model(widths)
    after = bench.bench.predict(changed) if widths != bench.own else bench.bench.before
    nothing = _NOTHING * bench.bench.before.latency_ms
    now = bench.latency_ms(widths) or after.latency_ms
    removals = []
    for place, (group, width) in enumerate(zip(bench.groups, widths, strict=True)):
        if width == group.channels:
            continue
        whole = bench.latency_ms(with_width(widths, place, group.channels))
        gain = 0.0 if whole is None else whole - now
        enough = width
        for wider in _edges(group, width):
            taken = bench.latency_ms(with_width(widths, place, wider))
            share = (wider - width) / (group.channels - width)
            if taken is not None and taken - now <= max(
                _IDLE * share * gain, nothing if wider == group.channels else 0
            ):
                enough = wider
        loss = None if losses is None else losses.of(group, width)
        removals.append(Removal(group, width, gain, enough, loss))
    comparison = compare_predictions(bench.bench.before, after, bench.bench.confidence)
    name = bench.bench.name
    return Pruned(name, comparison, tuple(removals), tuple(useless), changed, budget_ms, bench.tried)


def _edges(group: PrunableGroup, width: int) -> list[int]:
    """The next wider widths at which stairs may end, narrowest first."""
    found = {group.channels}
    for edge in _EDGES:
        above = -(-width // edge) * edge
        if width < above < group.channels and (group.channels - above) % group.block == 0:
            found.add(above)
    return sorted(found)
