"""Gives every tensor of a model a static shape.

Rules:
1. A free dimension with a name takes the size given for that name (`dims`), wherever the name occurs.
2. An input takes the shape given for it (`shapes`); named dimensions in it are thereby given too. A shape must agree
   with the sizes that the model fixes, and a name must have one size.
3. What then remains free is an error that names inputs, dimensions and the options that bind them.
4. A size for a name that no input has is no error, because one option may serve several models; it is a warning.
5. Shapes of inner tensors that depend on data may be assumed (`nnmeter.graph.assumptions`).
6. Inputs with the same free dimensions are named together. A tensor that comes out empty is a warning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nnmeter.errors import ModelError
from nnmeter.graph.assumptions import Assumptions, empty_tensors
from nnmeter.graph.inference import Inference
from nnmeter.graph.ir import Graph, TensorType
from nnmeter.graph.unbound import MAX_ELEMENTS, DeclaredType, UnboundModel

_EXAMPLE_SIZES: dict[str, int] = {
    "batch": 1, "seq": 128, "len": 128, "token": 128, "past": 128, "height": 224, "width": 224,
}  # fmt: skip
_NAMED = 8  # inputs that a message names


def bind_shapes(
    model: UnboundModel,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    assume: Mapping[str, Sequence[int]] | None = None,
) -> Graph:
    """Bind the free dimensions of a model and infer the type of every tensor.

    Args:
        model: what `read_model` returned; it is not changed and may be bound again.
        dims: sizes of free dimensions, by name.
        shapes: whole shapes of inputs, by input name.
        assume: shapes of inner tensors that depend on data, by name.

    Returns:
        The graph, every tensor with a static type.

    Raises:
        ModelError: dimensions remain free, what is given contradicts the model, or an operator does not fit its inputs.
    """
    sizes = _checked_sizes(model, dims or {})
    given = {name: _checked_shape(model, name, shape) for name, shape in (shapes or {}).items()}
    known = {d.name for d in model.inputs}
    unknown = sorted(set(given) - known)
    if unknown:
        raise ModelError(
            f"{model.source}: there is no input '{unknown[0]}'; give shapes for its inputs ({', '.join(sorted(known))})"
        )
    for declared in model.inputs:
        if declared.name in given:
            _agree(model, declared, given[declared.name], sizes)
        if declared.container not in ("", "optional", "sparse"):
            raise ModelError(
                f"{model.source}: input '{declared.name}' is a {declared.container}, which has no static shape; "
                "export the model with tensors as inputs"
            )
    types = {}
    free = []
    for declared in model.inputs:
        kind = _bound(declared, given.get(declared.name), sizes)
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
        raise ModelError(f"{model.source}: {_remaining(free, sizes)}")
    assumptions = Assumptions(model.source, assume)
    inference = Inference(model.source, model.opsets, sizes, assumptions)
    graph = inference.run(model, types)
    assumptions.check_met()
    unused = sorted(
        set(dims or {}) - {d for declared in model.inputs for d in declared.dims or () if isinstance(d, str)}
    )
    graph.warnings.extend(empty_tensors(graph.nodes, graph.types, graph.values))
    graph.warnings[:] = dict.fromkeys(graph.warnings)  # a body that is inferred twice says all twice
    graph.warnings.extend(f"no input has a dimension '{name}'; its size was not used" for name in unused)
    return graph


def _checked_sizes(model: UnboundModel, dims: Mapping[str, int]) -> dict[str, int]:
    for name, size in dims.items():
        if isinstance(size, bool) or not isinstance(size, int) or not 0 < size <= MAX_ELEMENTS:
            raise ModelError(f"{model.source}: dimension '{name}' cannot be {size!r}; give a positive whole number")
    return dict(dims)


def _checked_shape(model: UnboundModel, name: str, shape: Sequence[int]) -> tuple[int, ...]:
    sizes = []
    for size in shape:
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
    if declared.dims is None:
        return
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
    if declared.dims is None:
        return None
    bound = []
    for dim in declared.dims:
        size = sizes.get(dim) if isinstance(dim, str) else dim
        if size is None:
            return None
        bound.append(size)
    return TensorType(declared.dtype, tuple(bound))


def _remaining(free: Sequence[DeclaredType], sizes: Mapping[str, int]) -> str:
    """What remains free and how to give it (rules 3 and 6)."""
    alike: dict[str, list[str]] = {}
    options = []
    for declared in free:
        if declared.dims is None:
            alike.setdefault("no declared shape", []).append(declared.name)
            options.append(f"--shape {declared.name}=1x3x224x224")
            continue
        names = list(dict.fromkeys(d for d in declared.dims if isinstance(d, str) and d not in sizes))
        alike.setdefault(f"free dimensions ({', '.join(names)})", []).append(declared.name)
        rank = len(declared.dims)
        options += [f"--dim {name}={_example(name, declared.dims.index(name), rank)}" for name in names]
    parts = [f"{_name_inputs(names)} {what}" for what, names in alike.items()]
    return f"{', '.join(parts)}; give them with {' '.join(dict.fromkeys(options))}"


def _name_inputs(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"input '{names[0]}' has"
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"inputs {', '.join(repr(name) for name in names[:_NAMED])}{more} have"


def _example(name: str, axis: int, rank: int) -> int:
    """A likely size, for the example in the message."""
    usual = 224 if rank == 4 and axis > 1 else 1
    return next((size for word, size in _EXAMPLE_SIZES.items() if word in name.lower()), usual)
