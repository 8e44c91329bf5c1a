"""Entry points of timm whose layers are not those of the canonical name under which a table has them.

Rules:

1. `tf_` networks pad like TensorFlow. PyTorch cannot pad one side more than the other in a convolution, so that each
   such convolution has an operator `Pad` in front, which a runtime of PyTorch executes. They have graphs of their own.
2. The weights of Instagram (`ig_`) are of four widths, which one canonical name unites: their own names say the width.
"""

from __future__ import annotations

import re

_TENSORFLOW = re.compile(r"tf_\w+")
_INSTAGRAM = re.compile(r"ig_(resnext101_32x\d+d)")


def architecture_of(framework_name: str, network: str) -> str:
    """The name under which `graphs` has what ran in PyTorch.

    Args:
        framework_name: entry point of timm, with its tag: `tf_efficientnet_b0.ns_jft_in1k`.
        network: canonical name of the table.
    """
    entry = framework_name.partition(".")[0]
    if _TENSORFLOW.fullmatch(entry):
        return entry
    match = _INSTAGRAM.fullmatch(entry)
    return match[1] if match else network
