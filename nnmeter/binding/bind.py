"""Gives every tensor of a model a static shape.

Rules:
1. A free dimension with a name takes the size given for that name (`InputSizes.dims`), wherever the name occurs; 0 is
   one. A name that is an expression of others follows from these (`nnmeter.binding.dimensions`).
2. An input takes the shape given for it (`shapes`); named dimensions in it are thereby given too. A shape must agree
   with the sizes that the model fixes, and a name must have one size.
3. A sequence is given as `N x shape of an element`, or in Python as a list of shapes; a map as its number of entries;
   an optional input is there.
4. A dimension that the graph demands to be a sum of others follows from these (`nnmeter.binding.relations`), and a note
   says so. What then remains free is an error that names inputs, dimensions and the options that bind them; inputs
   with the same free dimensions are named together.
5. A size for a name that no input has is no error, because one option may serve several models; it is a warning. So is
   a trip count for a node that needs none, and a tensor that comes out empty.
6. Shapes of inner tensors that depend on data may be assumed (`nnmeter.binding.assumptions`). An input whose value
   decides shapes may be given its value (`values`), and takes the shape of that if it has none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from shlex import quote
from typing import Any

import numpy as np

from nnmeter.binding.assumptions import Assumptions, empty_tensors
from nnmeter.binding.dimensions import expressions, with_derived
from nnmeter.binding.free_axes import free_axes
from nnmeter.binding.inference import Inference
from nnmeter.binding.relations import Linear, completed, implied_relations, words
from nnmeter.errors import ModelError, brief
from nnmeter.graph.dtypes import NUMPY_OF_DTYPE
from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes
from nnmeter.graph.ir import Graph, TensorType
from nnmeter.graph.notes import Note
from nnmeter.graph.unbound import MAX_ELEMENTS, MAX_KNOWN_ELEMENTS, DeclaredType, UnboundModel

_MAX_PARTS = 1_000_000  # elements of a sequence

_EXAMPLE_SIZES: dict[str, int] = {
    "batch": 1, "seq": 128, "len": 128, "token": 128, "past": 128, "height": 224, "width": 224,
}  # fmt: skip
_NAMED = 8  # inputs that a message names


def bind_shapes(
    model: UnboundModel,
    sizes: InputSizes = AS_DECLARED,
    keep_branches: bool = False,
) -> Graph:
    """Bind the free dimensions of a model and infer the type of every tensor.

    Args:
        model: what `read_model` returned; it is not changed and may be bound again.
        sizes: what the model leaves open; one size for each dimension.
        keep_branches: leave every `If` where it is, also one whose branch is known: a runtime's own graph is as it is.

    Returns:
        The graph, every tensor with a static type.

    Raises:
        ModelError: dimensions remain free, what is given contradicts the model, or an operator does not fit its inputs.
    """
    known_sizes = _checked_sizes(model, sizes.dims)
    given: dict[str, tuple[int, ...]] = {}
    lists: dict[str, list[tuple[int, ...]]] = {}
    for name, shape in sizes.shapes.items():
        if any(isinstance(size, Sequence) for size in shape):
            lists[name] = [_checked_shape(model, name, size) for size in shape]
        else:
            given[name] = _checked_shape(model, name, shape)
    known = {d.name for d in model.inputs}
    arrays = {name: _checked_value(model, name, value) for name, value in sizes.values.items() if name in known}
    for declared in model.inputs:
        if declared.name in arrays and declared.name not in given and declared.static is None:
            given[declared.name] = arrays[declared.name].shape
    unknown = sorted({*given, *lists, *sizes.values} - known)
    if unknown:
        raise ModelError(
            f"{model.source}: there is no input '{unknown[0]}'; "
            f"give shapes and values for its inputs ({', '.join(sorted(known))})"
        )
    for declared in model.inputs:
        if declared.name in given:
            _agree(model, declared, given[declared.name], known_sizes)
        if declared.container == "opaque":
            raise ModelError(
                f"{model.source}: input '{declared.name}' is of an opaque type, which has no static shape; "
                "export the model with tensors as inputs"
            )
    named = dict.fromkeys(d for declared in model.inputs for d in declared.dims or () if isinstance(d, str))
    known_sizes = with_derived(model.source, named, known_sizes)
    refuse_empty_batch(model, known_sizes)
    types = {}
    free = []
    elements: dict[str, list[TensorType]] = {}
    for declared in model.inputs:
        kind = _bound(declared, given.get(declared.name), known_sizes)
        if declared.name in lists:
            if declared.container != "sequence":
                raise ModelError(f"{model.source}: input '{declared.name}' is no sequence; give one shape for it")
            elements[declared.name] = [TensorType(declared.dtype, shape) for shape in lists[declared.name]]
            kind = TensorType(declared.dtype, (sum(t.elements for t in elements[declared.name]),))
        elif kind is not None and declared.container == "sequence":
            elements[declared.name] = _sequence(model, declared, kind)
            kind = TensorType(kind.dtype, (kind.elements,))
        if kind is None:
            free.append(declared)
        elif not declared.dtype:
            raise ModelError(f"{model.source}: input '{declared.name}' has no element type; declare it in the model")
        elif kind.elements > MAX_ELEMENTS:
            raise ModelError(
                f"{model.source}: input '{declared.name}' has the impossible type {kind}; give smaller sizes"
            )
        else:
            types[declared.name] = kind
    if free:
        relations = _relations(model, sizes, free, named)
        followed = completed(relations, known_sizes)
        if followed and min(followed.values()) >= 0:
            graph = bind_shapes(model, replace(sizes, dims={**sizes.dims, **followed}), keep_branches)
            told = ", ".join(f"{name} = {size}" for name, size in followed.items())
            graph.warnings.append(
                Note(
                    f"dimensions follow from those given, as the graph demands ({_told(relations)}): {told}", "followed"
                )
            )
            return graph
        strange = sorted(set(sizes.dims) - set(named))
        wrong = f"it has no dimension '{brief(strange[0], 80)}'; " if strange else ""
        raise ModelError(f"{model.source}: {wrong}{_remaining(free, known_sizes, named, relations)}")
    assumptions = Assumptions(model.source, sizes.assume)
    inference = Inference(model.source, model.opsets, known_sizes, assumptions, sizes.trips, keep_branches)
    fitting = {n: _fitted(model, types[n], value) for n, value in arrays.items() if value.size <= MAX_KNOWN_ELEMENTS}
    graph = inference.run(model, types, values=fitting, sequences=elements)
    assumptions.check_met()
    graph.warnings.extend(model.notes)
    if model.repeated_names:
        name = brief(model.repeated_names[0], 80)
        said = (
            f"several nodes are named '{name}', for which ONNX Runtime refuses the model; give each a name of its own"
        )
        graph.warnings.append(Note(said, "runtime", name))
    if sizes.session == "free":
        free_here = free_axes(bind_shapes, model, sizes, graph)
        graph.free = free_here or {}
        if free_here is None:
            said = "what follows from its free dimensions could not be told; counted as in a session that knows them"
            graph.warnings.append(Note(said, "session"))
    unused = sorted(set(sizes.dims) - set(named))
    has = f" (there are {', '.join(sorted(named))})" if named else ""
    graph.warnings.extend(empty_tensors(graph.nodes, graph.types, graph.values))
    graph.warnings[:] = dict.fromkeys(graph.warnings)  # a body that is inferred twice says all twice
    graph.warnings.extend(
        Note(f"no input has a dimension '{name}'; its size was not used{has}", "unused", name) for name in unused
    )
    graph.warnings.extend(
        Note(f"no Loop '{name}' asks for a trip count; that given was not used", "unused", name)
        for name in inference.unused_trips()
    )
    return graph


def _sequence(model: UnboundModel, declared: DeclaredType, whole: TensorType) -> list[TensorType]:
    """The elements of a sequence whose type is that of all of them stacked (rule 3)."""
    count, *size = whole.shape or (1,)
    if count > _MAX_PARTS:
        raise ModelError(f"{model.source}: input '{declared.name}' cannot have {count} tensors; give fewer")
    return [TensorType(whole.dtype, tuple(size))] * count


def _checked_value(model: UnboundModel, name: str, value: Any) -> np.ndarray[Any, Any]:
    """A value as an array of the input's element type."""
    declared = next(d for d in model.inputs if d.name == name)
    dtype = NUMPY_OF_DTYPE.get({"bfloat16": "float32"}.get(declared.dtype, declared.dtype))
    try:
        array = np.asarray(value)
        if dtype is None or declared.container not in ("", "optional") or array.dtype.kind not in "biuf":
            raise ValueError
        return array.astype(dtype)
    except (TypeError, ValueError, OverflowError):
        raise ModelError(
            f"{model.source}: the value of input '{name}' ({declared.dtype or 'unknown type'}) cannot be given as "
            f"{value!r}; give numbers for an input that is a tensor of numbers"
        ) from None


def _fitted(model: UnboundModel, kind: TensorType, value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A value in the shape of its input; one number may stand for a list of one."""
    if value.size != kind.elements:
        raise ModelError(f"{model.source}: a value of {value.size} numbers does not fit an input of type {kind}")
    return value.reshape(kind.shape)


def refuse_empty_batch(model: UnboundModel, sizes: Mapping[str, int]) -> None:
    """Raise ModelError where the batch, the first dimension of the first input that has some, is given as 0.

    An input of rank 1 is a list without a batch, and may be empty.
    """
    dims = next((d.dims for d in model.inputs if d.dims), ())
    first = dims[0] if len(dims) > 1 else None
    if isinstance(first, str) and sizes.get(first) == 0:
        raise ModelError(f"{model.source}: a batch of 0 is none ('{brief(first, 80)}'); give 1 or more")


def _checked_sizes(model: UnboundModel, dims: Mapping[str, Any]) -> dict[str, int]:
    for name, size in dims.items():
        if isinstance(size, bool) or not isinstance(size, Integral) or not 0 <= int(size) <= MAX_ELEMENTS:
            raise ModelError(f"{model.source}: dimension '{name}' cannot be {size!r}; give a whole number from 0 on")
    return {name: int(size) for name, size in dims.items()}


def _checked_shape(model: UnboundModel, name: str, shape: Any) -> tuple[int, ...]:
    sizes = []
    for size in shape if isinstance(shape, Sequence) else [shape]:
        try:
            whole = int(size)
        except (TypeError, ValueError):
            whole = -1
        if whole != size or not 0 <= whole <= MAX_ELEMENTS:
            raise ModelError(f"{model.source}: input '{name}' cannot have a dimension {size!r}; give whole numbers")
        sizes.append(whole)
    return tuple(sizes)


def _agree(model: UnboundModel, declared: DeclaredType, shape: tuple[int, ...], sizes: dict[str, int]) -> None:
    """Check a given shape against the declared one, and learn the named dimensions in it (rule 2)."""
    if declared.dims is None or declared.container == "map":
        return
    if declared.container == "sequence":  # of `N x shape of an element`, the shape
        shape = shape[1:]
    stated = "x".join("?" if d is None else str(d) for d in declared.dims)
    text = "x".join(map(str, shape))
    if len(shape) != len(declared.dims):
        raise ModelError(f"{model.source}: input '{declared.name}' is {stated} in the model, {text} has another rank")
    for dim, size in zip(declared.dims, shape, strict=True):
        if isinstance(dim, int) and dim != size:
            raise ModelError(
                f"{model.source}: input '{declared.name}' is {stated} in the model, which {text} contradicts; "
                "give the fixed sizes as they are, or export the model with free dimensions"
            )
        if isinstance(dim, str) and sizes.setdefault(dim, size) != size:
            raise ModelError(
                f"{model.source}: dimension '{dim}' is given as {sizes[dim]} and, by the shape of input "
                f"'{declared.name}', as {size}; give it one size"
            )


def _bound(declared: DeclaredType, shape: tuple[int, ...] | None, sizes: Mapping[str, int]) -> TensorType | None:
    if shape is not None:
        return TensorType(declared.dtype, shape)
    if declared.dims is None or declared.container in ("sequence", "map"):
        return None
    bound = []
    for dim in declared.dims:
        size = sizes.get(dim) if isinstance(dim, str) else dim
        if size is None:
            return None
        bound.append(size)
    return TensorType(declared.dtype, tuple(bound))


def _relations(
    model: UnboundModel,
    sizes: InputSizes,
    free: Sequence[DeclaredType],
    named: Collection[str],
) -> dict[str, Linear]:
    """What the graph says of the model's dimensions, where nothing else is free."""
    if any(declared.dims is None or declared.container in ("sequence", "map") for declared in free):
        return {}
    derived = expressions(named)
    nameless = {d.name for d in model.inputs if d.dims is None or None in d.dims}
    shapes = {name: shape for name, shape in sizes.shapes.items() if name in nameless}  # others hide what is demanded
    return implied_relations(
        bind_shapes, model, replace(sizes, dims={}, shapes=shapes), [name for name in named if name not in derived]
    )


def _told(relations: Mapping[str, Linear]) -> str:
    return ", ".join(f"{name} = {words(linear)}" for name, linear in relations.items())


def _remaining(
    free: Sequence[DeclaredType],
    sizes: Mapping[str, int],
    named: Collection[str],
    relations: Mapping[str, Linear],
) -> str:
    """What remains free and how to give it (rule 4)."""
    follow = {**expressions(named), **relations}
    alike: dict[str, list[str]] = {}
    options = []
    for declared in free:
        if declared.container in ("sequence", "map"):
            alike.setdefault(f"no known length, being a {declared.container}", []).append(declared.name)
            dims = () if declared.container == "map" else declared.dims or ()
            whole = [2, *(d if isinstance(d, int) else _example(d or "", i, len(dims)) for i, d in enumerate(dims))]
            options.append(f"--shape {quote(declared.name + '=' + 'x'.join(map(str, whole)))}")
            continue
        if declared.dims is None:
            alike.setdefault("no declared shape", []).append(declared.name)
            options.append(f"--shape {quote(declared.name + '=')}AxBxC, its sizes")
            continue
        names = list(
            dict.fromkeys(d for d in declared.dims if isinstance(d, str) and d not in sizes and d not in follow)
        )
        if not names:
            continue
        alike.setdefault(f"free dimensions ({', '.join(names)})", []).append(declared.name)
        rank = len(declared.dims)
        options += [f"--dim {quote(f'{name}={_example(name, declared.dims.index(name), rank)}')}" for name in names]
    parts = [f"{_name_inputs(names)} {what}" for what, names in alike.items()]
    rest = f" (the graph gives the rest: {_told(relations)})" if relations else ""
    return f"{', '.join(parts)}; give them with {' '.join(dict.fromkeys(options))}{rest}"


def _name_inputs(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"input '{names[0]}' has"
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"inputs {', '.join(repr(name) for name in names[:_NAMED])}{more} have"


def _example(name: str, axis: int, rank: int) -> int:
    """A likely size, for the example in the message."""
    usual = 224 if rank == 4 and axis > 1 else 1
    return next((size for word, size in _EXAMPLE_SIZES.items() if word in name.lower()), usual)
