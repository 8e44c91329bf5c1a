"""PyTorch's models: a module with example inputs, an exported program, or what torch's ONNX exporter made of one.

Torch is imported by whoever has such an object, and here only then; what an object is, is told by the names of its
classes, so that any other model costs no import.

Rules:

1. A module is exported by `torch.onnx.export(dynamo=True)`, as a file of it would be, with the sizes of its example
   inputs, which may be arrays of NumPy; nothing is written. It is exported in evaluation mode, whatever mode it is in,
   and left in that mode.
2. Weights are not needed: modules on the `meta` device and in `FakeTensorMode` are exported as well. Before the
   exporter's optimizer runs, parameters and larger tensors lose their values, so that it neither folds nor copies
   them; runtimes fold what it would have folded.
3. Torch 2.13 forgets constants that its decompositions make, as for a cache of transformers, and then refuses its own
   program. Such a program is exported again with these constants kept.
4. What cannot be exported is a `ModelError` of one line: the exporter's own reason, without its stack.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from nnmeter.errors import ModelError
from nnmeter.formats.examples import Examples, register_caches
from nnmeter.formats.onnx_ir_objects import elements, has_data, model_proto

if TYPE_CHECKING:
    import onnx

MODULE, EXPORTED, PROGRAM, IR = "torch.nn.Module", "torch.export.ExportedProgram", "ONNXProgram", "onnx_ir.Model"

# What an object is by a class of its: the name of the class, and what the name of its module begins with.
_CLASSES: dict[str, tuple[str, str]] = {
    MODULE: ("Module", "torch.nn.modules.module."),
    EXPORTED: ("ExportedProgram", "torch.export."),
    PROGRAM: ("ONNXProgram", "torch.onnx."),
    IR: ("Model", "onnx_ir."),
}

_FOLDED_ELEMENTS = 8192  # the exporter's optimizer folds constants up to this size, and looks at no larger one
_KIND = "pkg.torch.export.graph_signature.InputSpec.kind"  # metadata of an initializer
_LOGGERS = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")
_FORGOTTEN = "is not in the constants dictionary"  # what torch says where rule 3 holds
_INSTALL = "pip install 'nnmeter[torch]'"


def kind_of(source: Any) -> str | None:
    """What a model is: one of `MODULE`, `EXPORTED`, `PROGRAM`, `IR`; None for anything else."""
    for kind in type(source).__mro__:
        for name, (cls, module) in _CLASSES.items():
            if kind.__name__ == cls and f"{kind.__module__}.".startswith(module):
                return name
    return None


def torch_proto(source: Any, kind: str, examples: Examples | None, name: str) -> onnx.ModelProto:
    """A model of torch as a protocol buffer without weights.

    Args:
        source: the model.
        kind: what `kind_of` said of it.
        examples: its example inputs; only a module needs them.
        name: what errors call it.

    Raises:
        ModelError: it cannot be exported.
    """
    if kind == MODULE and examples is None:
        raise ModelError(
            f"{name}: a torch.nn.Module has no sizes; give example_inputs, a tensor, a tuple of positional arguments "
            "or a dict of keyword arguments"
        )
    with _quiet():
        if kind in (MODULE, EXPORTED):
            source = _exported(source, kind, examples, name)
        return model_proto(source if kind == IR else source.model, name)


def name_of(source: Any, kind: str) -> str:
    """What a model is called that nobody named: a module by its class."""
    return type(source).__name__ if kind == MODULE else "model"


def own_examples(source: Any, kind: str | None) -> Examples | None:
    """The example inputs that an exported program keeps; None where there are none."""
    program = getattr(source, "exported_program", None) if kind == PROGRAM else source
    kept = getattr(program, "example_inputs", None) if kind in (EXPORTED, PROGRAM) else None
    return None if kept is None else Examples(tuple(kept[0]), dict(kept[1]))


def _exported(source: Any, kind: str, examples: Examples | None, name: str) -> Any:
    """Rules 1 and 2: torch's ONNXProgram of a module or an exported program."""
    try:
        import onnxscript  # noqa: F401  (torch's exporter asks for it late, and in many lines)
        import torch
    except ModuleNotFoundError as fault:
        raise ModelError(f"{name}: torch's ONNX exporter needs {fault.name}, not installed; {_INSTALL}") from None
    register_caches()
    args, kwargs = ((), {}) if examples is None or kind == EXPORTED else (examples.args, dict(examples.kwargs))
    args = tuple(torch.as_tensor(value) if isinstance(value, np.ndarray) else value for value in args)
    kwargs = {
        name: torch.as_tensor(value) if isinstance(value, np.ndarray) else value for name, value in kwargs.items()
    }
    modes = _to_evaluation(source) if kind == MODULE else []
    try:
        with torch.no_grad():  # else parts that switch gradients off become functions that the exporter fails on
            try:
                program = torch.onnx.export(source, args, kwargs=kwargs, dynamo=True, optimize=False, verbose=False)
            except Exception as fault:
                if _FORGOTTEN not in str(_first_fault(fault)):
                    raise
                exported = torch.export.export(source, args, kwargs, strict=False) if kind == MODULE else source
                with kept_constants(exported):
                    program = torch.onnx.export(exported, dynamo=True, optimize=False, verbose=False)
        _drop_values(program.model)
        program.optimize()
    except Exception as fault:  # of the exporter, or of the module itself
        raise ModelError(f"{name}: torch.onnx.export fails: {_reason(fault)}") from fault
    finally:
        for module, training in modes:
            module.training = training
    return program


def _to_evaluation(module: Any) -> list[tuple[Any, bool]]:
    """Put a module into evaluation mode; its parts, and the mode that each was in."""
    modes = [(part, part.training) for part in module.modules()]
    if any(training for _, training in modes):
        module.eval()
    return modes


def _drop_values(model: Any) -> None:
    """Rule 2."""
    for value in model.graph.initializers.values():
        known = value.const_value
        parameter = value.metadata_props.get(_KIND) == "PARAMETER"
        if known is not None and (parameter or not has_data(known) or elements(known.shape) > _FOLDED_ELEMENTS):
            if value.shape is None:
                value.shape = known.shape
            if value.dtype is None:
                value.dtype = known.dtype
            value.const_value = None


@contextlib.contextmanager
def kept_constants(program: Any) -> Iterator[None]:
    """Rule 3: give the constants that decompositions make to the program that is decomposed, for as long as it is."""
    from torch._export.passes import lift_constants_pass
    from torch.export import _trace

    lift = lift_constants_pass._materialize_and_lift_constants
    places = (lift_constants_pass, _trace)
    before = dict(program.constants)

    def lift_and_keep(*args: Any, **kwargs: Any) -> Any:
        found = lift(*args, **kwargs)
        for name, value in found.items():
            program.constants.setdefault(name, value)
        return found

    for place in places:
        place._materialize_and_lift_constants = lift_and_keep
    try:
        yield
    finally:
        for place in places:
            place._materialize_and_lift_constants = lift
        program.constants.clear()
        program.constants.update(before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what exporters say while all goes well."""
    levels = [(logging.getLogger(name), logging.getLogger(name).level) for name in _LOGGERS]
    try:
        for logger, _ in levels:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in levels:
            logger.setLevel(level)


def _reason(fault: BaseException) -> str:
    """Rule 4: the first line of the first fault."""
    first = _first_fault(fault)
    lines = [line.strip() for line in str(first).splitlines()]
    said = next((line for line in lines if line), "")
    kind = type(first).__name__
    return f"{kind}: {said[:300]}" if said else kind


def _first_fault(fault: BaseException) -> BaseException:
    while fault.__cause__ is not None:
        fault = fault.__cause__
    return fault
