"""The kinds of passes that rule sets can name, each declared by its module.

A new pass is a new module with its `PASSES`, one line here, and its test in `tests/fusion/passes`.
"""

from __future__ import annotations

from nnmeter.fusion.engine.passes import PassKind
from nnmeter.fusion.passes.common import deduplication, folding, retyping, rewrite_rules, splitting
from nnmeter.fusion.passes.mnn import regions
from nnmeter.fusion.passes.mobile import (
    free_operators,
    integer_groups,
    linking,
    plain_attributes,
    quantized_operators,
)
from nnmeter.fusion.passes.onnxruntime import (
    blocks,
    casts,
    layout,
    quantization,
    reshape_targets,
    signedness,
    transposes,
    unsharing,
)
from nnmeter.fusion.passes.openvino import (
    attention,
    biases,
    concats,
    elementwise,
    in_place,
    integer_operators,
    low_precision,
    memory_layout,
    perceptrons,
    post_operators,
    residuals,
    scalars,
    settings,
    unsigned_data,
)
from nnmeter.fusion.passes.tract import factors

_DECLARED: tuple[tuple[PassKind, ...], ...] = (
    rewrite_rules.PASSES,
    folding.PASSES,
    deduplication.PASSES,
    retyping.PASSES,
    splitting.PASSES,
    blocks.PASSES,
    casts.PASSES,
    layout.PASSES,
    quantization.PASSES,
    reshape_targets.PASSES,
    signedness.PASSES,
    transposes.PASSES,
    unsharing.PASSES,
    attention.PASSES,
    biases.PASSES,
    concats.PASSES,
    elementwise.PASSES,
    in_place.PASSES,
    integer_operators.PASSES,
    low_precision.PASSES,
    memory_layout.PASSES,
    perceptrons.PASSES,
    post_operators.PASSES,
    residuals.PASSES,
    scalars.PASSES,
    settings.PASSES,
    unsigned_data.PASSES,
    free_operators.PASSES,
    integer_groups.PASSES,
    linking.PASSES,
    plain_attributes.PASSES,
    quantized_operators.PASSES,
    regions.PASSES,
    factors.PASSES,
)


def _by_name() -> dict[str, PassKind]:
    found: dict[str, PassKind] = {}
    for declared in _DECLARED:
        for kind in declared:
            if kind.name in found:
                raise ValueError(f"two kinds of passes are called {kind.name!r}")
            found[kind.name] = kind
    return found


PASS_KINDS: dict[str, PassKind] = _by_name()
