"""Example inputs: what a person would call a model with, and the free dimensions that they bind.

Rules:

1. Example inputs are one value, a tuple or a list of the positional arguments, or a mapping of the keyword arguments.
   Whatever has a `shape` is a tensor: of NumPy, of torch, of another package.
2. A mapping whose keys are all inputs of the model is taken by name. In any other case the tensors are the inputs in
   their order, those of tuples, lists, mappings and caches one after another, as exporters make inputs of them.
3. A free dimension has the size that the examples have there. Two sizes for one dimension, another number of tensors
   than the model has inputs, another rank or another fixed size are a `ModelError`.
4. A cache of transformers is registered with torch's pytrees, as transformers itself does before it exports.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nnmeter.errors import ModelError
from nnmeter.graph.unbound import DeclaredType, UnboundModel


@dataclass(frozen=True, slots=True)
class Examples:
    """The arguments of a call.

    Attributes:
        args: positional ones.
        kwargs: keyword ones.
    """

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


def examples_of(given: Any, kwargs: Mapping[str, Any] | None = None) -> Examples | None:
    """What a person gave as examples (rule 1), and keyword arguments beside it; None where nothing was given."""
    if given is None:
        return Examples((), dict(kwargs)) if kwargs is not None else None
    more = dict(kwargs or {})
    if isinstance(given, Mapping) or (hasattr(given, "keys") and hasattr(given, "__getitem__")):
        return Examples((), {**{str(key): given[key] for key in given.keys()}, **more})  # noqa: SIM118
    return Examples(tuple(given) if isinstance(given, tuple | list) else (given,), more)


def bind_examples(model: UnboundModel, examples: Examples) -> dict[str, int]:
    """The sizes that examples give to the free dimensions of a model, by name (rules 2 and 3).

    Raises:
        ModelError: the examples do not fit the model.
    """
    dims: dict[str, int] = {}
    for declared, shape in _pairs(model, examples):
        if declared.dims is None:
            continue
        if len(declared.dims) != len(shape):
            raise ModelError(
                f"{model.source}: the example of input '{declared.name}' has {len(shape)} dimensions, the input has "
                f"{len(declared.dims)}; give one of its rank"
            )
        for stated, size in zip(declared.dims, shape, strict=True):
            expected = stated if isinstance(stated, int) else dims.setdefault(str(stated), size)
            if expected != size:
                what = "that size is fixed" if isinstance(stated, int) else f"'{stated}' is {expected} elsewhere"
                raise ModelError(
                    f"{model.source}: the example of input '{declared.name}' has {size} where the model has "
                    f"{expected}, and {what}; give an example that fits"
                )
    free = {name for names in model.free_dimensions.values() for name in names}
    return {name: size for name, size in dims.items() if name in free}


def _pairs(model: UnboundModel, examples: Examples) -> Iterator[tuple[DeclaredType, tuple[int, ...]]]:
    """Rule 2."""
    inputs = {declared.name: declared for declared in model.inputs}
    if examples.kwargs and not examples.args and set(examples.kwargs) <= set(inputs):
        for name, value in examples.kwargs.items():
            if hasattr(value, "shape"):
                yield inputs[name], _shape(value)
        return
    found = tensors_of(examples)
    if len(found) != len(model.inputs):
        names = ", ".join(inputs)
        raise ModelError(
            f"{model.source}: {len(found)} example tensors for {len(model.inputs)} inputs ({names}); give one for each"
        )
    for declared, value in zip(model.inputs, found, strict=True):
        yield declared, _shape(value)


def tensors_of(examples: Examples) -> list[Any]:
    """The tensors of examples, in the order in which an exporter makes inputs of them."""
    leaves: list[Any]
    if "torch" in sys.modules:
        from torch.utils import _pytree

        register_caches()
        leaves = _pytree.tree_leaves((examples.args, dict(examples.kwargs)))
    else:
        leaves = list(_leaves((examples.args, examples.kwargs)))
    return [leaf for leaf in leaves if hasattr(leaf, "shape")]


def register_caches() -> None:
    """Rule 4; only where transformers is imported already."""
    if "transformers.cache_utils" not in sys.modules:
        return
    with contextlib.suppress(ImportError, AttributeError):
        from transformers.integrations.executorch import register_dynamic_cache_export_support

        register_dynamic_cache_export_support()


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(int(size) for size in value.shape)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, tuple | list):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value
