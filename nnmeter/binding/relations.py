"""Relations between free dimensions that no name states, but the graph demands.

Exporters give every free dimension a name of its own (`s13`, `s53`, ...), also where a runtime accepts only some
combinations: the mask of a decoder is as long as its cache and its tokens together.

Rules:
1. The model is bound with sizes that no sum of others equals. Where two sizes must be equal and are not, each is read
   as a sum of dimensions and a small number, and one dimension follows from the others; then it is bound again. A size
   that may be a sum with a larger number (a cache of fixed length), or that number alone, is told by other sizes.
2. What is found is what operators demand (element-wise operators, concatenation, products). A fault of another kind
   ends the search; what was found until then holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from nnmeter.errors import ModelError
from nnmeter.operators.shape_rules.common import MismatchError

if TYPE_CHECKING:
    from nnmeter.graph.input_sizes import InputSizes
    from nnmeter.graph.unbound import UnboundModel

_FIRST, _LARGEST_CONSTANT, _MOST_NAMES = 37, 8, 24

Linear = dict[str, int]  # how often each dimension counts, and "" for a number


def implied_relations(
    bind: Callable[[UnboundModel, InputSizes], object], model: UnboundModel, sizes: InputSizes, free: Iterable[str]
) -> dict[str, Linear]:
    """Dimensions that follow from others, as sums of these (rule 1).

    Args:
        bind: `nnmeter.binding.bind.bind_shapes`, which asks this module.
        model: the model.
        sizes: what is given of it.
        free: names of its free dimensions; sizes given for them play no part, for a size of 1 hides relations.
    """
    names = list(free)
    found: dict[str, Linear] = {}
    if not 0 < len(names) <= _MOST_NAMES:
        return found
    probes: dict[str, int] = {}
    for name in names:  # more than all before together, so that sums tell their parts
        probes[name] = 2 * max(probes.values(), default=0) + _FIRST
    for _ in names:
        tried = {**probes, **{name: evaluated(linear, probes) for name, linear in found.items()}}
        if min(tried.values()) <= 0:
            return found
        try:
            bind(model, replace(sizes, dims={**sizes.dims, **tried}))
            return found
        except ModelError as fault:
            cause = fault.__cause__
            if not isinstance(cause, MismatchError):
                return found
            own = {name: size for name, size in probes.items() if name not in found}
            left, right = (_as_sum(size, own) for size in cause.sizes)
            if _is_doubtful(left, own) or _is_doubtful(right, own):
                shifts = {name: 1 << position for position, name in enumerate(own)}
                moved = _demanded(bind, model, sizes, {name: size + shifts[name] for name, size in own.items()}, found)
                if moved is not None:
                    told = [_as_moved(*pair, own, shifts) for pair in zip(cause.sizes, moved, strict=True)]
                    left, right = told[0] or left, told[1] or right
        if left is None or right is None:
            return found
        relation = _solved(left, right, names)
        if relation is None:
            return found
        name, linear = relation
        found = {other: _replaced(before, name, linear) for other, before in found.items()}
        found[name] = linear
    return found


def _demanded(
    bind: Callable[[UnboundModel, InputSizes], object],
    model: UnboundModel,
    sizes: InputSizes,
    probes: Mapping[str, int],
    found: Mapping[str, Linear],
) -> tuple[int, int] | None:
    """The two sizes that would have to be equal with these sizes of the dimensions; None where there are none."""
    tried = {**probes, **{name: evaluated(linear, probes) for name, linear in found.items()}}
    try:
        bind(model, replace(sizes, dims={**sizes.dims, **tried}))
    except ModelError as fault:
        return fault.__cause__.sizes if isinstance(fault.__cause__, MismatchError) else None
    return None


def evaluated(linear: Linear, sizes: Mapping[str, int]) -> int:
    """The size that a sum of dimensions comes to."""
    return sum(count * (sizes[name] if name else 1) for name, count in linear.items())


def completed(relations: Mapping[str, Linear], given: Mapping[str, int]) -> dict[str, int]:
    """Sizes that follow from those given, by relations read either way."""
    sizes = dict(given)
    for _ in range(len(relations) + 1):
        before = len(sizes)
        for name, linear in relations.items():
            missing = [part for part in linear if part and part not in sizes]
            if not missing:
                sizes.setdefault(name, evaluated(linear, sizes))
            elif len(missing) == 1 and name in sizes and abs(linear[missing[0]]) == 1:
                rest = {part: count for part, count in linear.items() if part != missing[0]}
                sizes[missing[0]] = (sizes[name] - evaluated(rest, sizes)) * linear[missing[0]]
        if len(sizes) == before:
            break
    return {name: size for name, size in sizes.items() if name not in given}


def words(linear: Linear) -> str:
    """A sum of dimensions as text: `s13 + s53`."""
    text = ""
    for name, count in sorted(linear.items(), key=lambda item: (item[0] == "", item[0])):
        if not count:
            continue
        size = str(abs(count)) if not name else name if abs(count) == 1 else f"{abs(count)}*{name}"
        text += f" {'-' if count < 0 else '+'} {size}" if text else f"{'-' if count < 0 else ''}{size}"
    return text or "0"


def _as_sum(size: int, probes: Mapping[str, int]) -> Linear | None:
    """A size as a sum of different dimensions and a small number, or as a number alone where it is none."""
    rest, linear = size, {}
    for name, probe in sorted(probes.items(), key=lambda item: -item[1]):
        if rest >= probe - _LARGEST_CONSTANT:
            linear[name] = 1
            rest -= probe
    if linear and abs(rest) > _LARGEST_CONSTANT:
        return {"": size}
    return {**linear, "": rest}


def _is_doubtful(linear: Linear | None, probes: Mapping[str, int]) -> bool:
    """Whether a size that was read as a number alone could be one that is added to a dimension."""
    return linear is not None and not any(linear.get(name) for name in probes) and linear[""] > min(probes.values())


def _as_moved(size: int, moved: int, probes: Mapping[str, int], shifts: Mapping[str, int]) -> Linear | None:
    """A size as the sum of the dimensions whose shifts moved it, and a number; None where it moved otherwise."""
    rest, linear = moved - size, {}
    for name, shift in sorted(shifts.items(), key=lambda item: -item[1]):
        if rest >= shift:
            linear[name] = 1
            rest -= shift
    return None if rest else {**linear, "": size - sum(probes[name] for name in linear)}


def _solved(left: Linear, right: Linear, order: Sequence[str]) -> tuple[str, Linear] | None:
    """A dimension that counts once in the difference, as a sum of the others; one that stands alone, else the last."""
    difference = {name: left.get(name, 0) - right.get(name, 0) for name in {*left, *right}}
    single = [name for name in reversed(order) if abs(difference.get(name, 0)) == 1]
    if not single:
        return None
    lone = [[name for name, count in side.items() if count] for side in (left, right)]
    chosen = next((name for name in single if [name] in lone), single[0])
    sign = difference.pop(chosen)
    return chosen, {name: -sign * count for name, count in difference.items() if count}


def _replaced(linear: Linear, name: str, by: Linear) -> Linear:
    count = linear.get(name, 0)
    if not count:
        return linear
    found = {other: times for other, times in linear.items() if other != name}
    for other, times in by.items():
        found[other] = found.get(other, 0) + count * times
    return found
