"""NNI 3.0: what its `NnMeterProfiler` needs on today's torch, and a profiler of whole candidates.

1. NNI exports every module with `torch.onnx.export(module, inputs, file_object, export_params=False)` and simplifies
   the result with onnxsim. Torch's present exporter takes seconds for a module. `lighten` puts another function in the
   place of NNI's `to_onnx`, which exports the same module without either; it is called when a predictor is loaded.
2. `NnMeterProfiler` adds up modules, each priced alone, as in nn-Meter: it cannot see what a device fuses across them.
   `space_profiler` prices whole candidates: it learns the space as a table (`nnmeter.search.tabulate`), of which it
   makes the expression that NNI's filters and penalties take.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

from nn_meter.predictor import nnMeterPredictor
from nn_meter.torch_models import export_module

_MODULE = "nni.nas.profiler.pytorch.nn_meter"


def lighten() -> None:
    """Rule 1, where NNI's profiler is imported."""
    module = sys.modules.get(_MODULE)
    if module is not None and getattr(module, "to_onnx", None) is not export_module:
        module.to_onnx = export_module  # type: ignore[attr-defined]


def space_profiler(
    model_space: Any, args: Any, predictor: str | nnMeterPredictor, *, tolerance: float = 0.02, verify: int = 30,
    budget: int = 1000,
) -> Any:  # fmt: skip
    """A profiler of NNI that prices whole candidates of a space (rule 2).

    Args:
        model_space: the `nni.nas.nn.pytorch.ModelSpace`.
        args: what the model is called with: a tensor, or a tuple.
        predictor: its name, or the predictor.
        tolerance: the largest relative error of the table.
        verify: candidates that the error is verified on.
        budget: predictions that may be made, about.

    Returns:
        An `ExpressionProfiler`; its `table` has the error that was verified.

    Raises:
        NnmeterError: the space has other than categorical choices, or a candidate cannot be predicted.
    """
    from nni.mutable import Categorical, MutableExpression
    from nni.nas.profiler import ExpressionProfiler

    from nn_meter.predictor import load_latency_predictor
    from nnmeter import NnmeterError
    from nnmeter.search import tabulate

    loaded = load_latency_predictor(predictor) if isinstance(predictor, str) else predictor
    choices = dict(model_space.simplify())
    for label, choice in choices.items():
        if not isinstance(choice, Categorical):
            raise NnmeterError(f"the choice '{label}' is {type(choice).__name__}; only categorical ones make a table")
    inputs = args if isinstance(args, tuple) else (args,)

    def build(candidate: Any) -> Any:
        from nnmeter import read_model
        from nnmeter.formats.parameters import with_parameters

        proto = export_module(model_space.freeze(dict(candidate)), inputs)
        return with_parameters(read_model(proto, "candidate"))

    options = {label: list(choice.values) for label, choice in choices.items()}
    table = tabulate(options, build, loaded.predictor, tolerance=tolerance, verify=verify, budget=budget)

    class SpaceProfiler(ExpressionProfiler):  # type: ignore[misc]
        """The expression is the sum of the table's terms."""

        def __init__(self) -> None:
            self.table = table
            terms = [
                _expression(term.latency_ms, [table.space.names[at] for at in term.choices]) for term in table.terms
            ]
            self.expression = functools.reduce(lambda a, b: a + b, terms)

    def _expression(entries: Any, labels: list[str]) -> Any:
        if not labels:
            return float(entries)
        label, *rest = labels
        cases = {value: _expression(entries[at], rest) for at, value in enumerate(options[label])}
        return MutableExpression.switch_case(choices[label], cases)

    return SpaceProfiler()
