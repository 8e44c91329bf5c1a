"""Operators that break fusion or the blocked layout, and what to write instead, each tried on the whole model.

A candidate is no claim. Whether a form is slow on a device is seen from the prediction alone, so that one list serves
all devices.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nnmeter.errors import ModelError
from nnmeter.transforms import ReplaceActivation, Rewrite
from nnmeter.transforms.activations import find_activations
from nnmeter.transforms.draft import Draft

if TYPE_CHECKING:
    from nnmeter.advice.trial import Trial, Workbench

# Rewrites that keep what is computed -> why they are worth a try.
SAME: dict[str, str] = {
    "layer-normalization": "layer normalization is exported as single operators; one operator is one kernel",
    "pool-floor": "ceil_mode changes nothing here, and keeps the pooling from the blocked layout",
    "softmax-last": "a Softmax over an inner axis reads memory in strides",
}
# Kinds of activations that may be written otherwise and stay what they are -> their forms.
FORMS: dict[str, tuple[str, ...]] = {
    "gelu": ("gelu",),
    "hardswish": ("hardswish", "hardswish-gate"),
    "silu": ("silu",),
}
# Kinds of activations -> simpler ones, another function, which has to be trained.
SIMPLER: dict[str, tuple[str, ...]] = {
    "elu": ("relu",),
    "gelu": ("gelu-tanh", "relu"),
    "gelu-tanh": ("relu",),
    "hardswish": ("relu",),
    "leakyrelu": ("relu",),
    "mish": ("relu",),
    "prelu": ("relu",),
    "selu": ("relu",),
    "sigmoid": ("hardsigmoid",),
    "silu": ("hardswish", "relu"),
}


def try_rewrites(bench: Workbench) -> Iterator[Trial]:
    """Trials of rewrites and of activations that the model has."""
    for name, why in SAME.items():
        trial = bench.try_change("rewrite", name, why, "same", Rewrite(name))
        if trial is not None:
            yield trial
    try:
        kinds = list(dict.fromkeys(a.kind for a in find_activations(Draft(bench.model, bench.sizes))))
    except ModelError:
        return
    for kind in kinds:
        for form in FORMS.get(kind, ()):
            why = f"{kind} is exported in a form that the runtime makes several kernels of"
            change = ReplaceActivation(kind, form)
            trial = bench.try_change("activation", change.label, why, "same", change)
            if trial is not None:
                yield trial
        for simpler in SIMPLER.get(kind, ()):
            why = f"{kind} costs a pass over memory of its own, or several, where {simpler} may be fused"
            change = ReplaceActivation(kind, simpler)
            trial = bench.try_change("activation", change.label, why, "function", change)
            if trial is not None:
                yield trial
