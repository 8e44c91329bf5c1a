"""The kernels of a model, unpriced: what was fused, its shapes and its cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nnmeter.kernels.features import signature_cost
from nnmeter.kernels.kernel import Kernel
from nnmeter.report.machine import machine_words
from nnmeter.report.numbers import format_count
from nnmeter.report.registry import Layout
from nnmeter.report.text import Text

if TYPE_CHECKING:
    from nnmeter.devices.identity import MachineMatch

SCHEMA_VERSION = 1


def kernels_to_dict(
    model: str,
    device: str,
    kernels: Sequence[Kernel],
    warnings: Sequence[str] = (),
    machine: MachineMatch | None = None,
) -> dict[str, Any]:
    """The kernels as the JSON report has them; shapes as `float32[1x3x224x224]`, null for an absent input.

    `machine` is what the device is to this machine.

    FLOPs and bytes are those of all runs of a kernel; `count` is there where it runs more than once, in a loop.
    """
    from nnmeter._version import __version__

    return {
        "schema_version": SCHEMA_VERSION,
        "nnmeter_version": __version__,
        "device": device,
        "machine": None if machine is None else machine.to_dict(),
        "model": model,
        "kernels": [_kernel_to_dict(kernel) for kernel in kernels],
        "warnings": list(warnings),
    }


def render_table(document: dict[str, Any], layout: Layout) -> str:
    """The document of `kernels_to_dict` as a table: a row a kernel in the order of execution, the sums below."""
    text = Text(layout.width, layout.colour)
    text.add(f"{text.bold(document['model'])} on {document['device']}")
    if document.get("machine"):
        text.add(f"machine: {machine_words(document['machine'])}")
    kernels = document["kernels"]
    rows = [
        (
            f"{kernel['type']} x {kernel['count']}" if "count" in kernel else kernel["type"],
            _name_nodes(kernel),
            kernel["outputs"][0] if kernel["outputs"] else "",
            format_count(kernel["flops"]),
            format_count(kernel["bytes"]),
        )
        for kernel in kernels
    ]
    flops, size = (format_count(sum(kernel[key] for kernel in kernels)) for key in ("flops", "bytes"))
    total = (f"{len(kernels)} kernels", "", "", flops, size)
    text.add_table(("type", "nodes", "output", "FLOPs", "bytes"), "lnlrr", [rows, [total]])
    text.add_warnings(document["warnings"])
    return str(text)


def _name_nodes(kernel: dict[str, Any]) -> str:
    nodes = kernel["nodes"]
    return f"{nodes[0] if nodes else '-'}{f' +{len(nodes) - 1}' if len(nodes) > 1 else ''}"


def _kernel_to_dict(kernel: Kernel) -> dict[str, Any]:
    signature = kernel.signature
    cost = signature_cost(signature)
    return {
        "name": kernel.name,
        "type": kernel.type,
        "nodes": list(kernel.nodes),
        "inputs": [None if tensor is None else str(tensor) for tensor in signature.inputs],
        "outputs": [str(tensor) for tensor in signature.outputs],
        "attributes": {name: list(v) if isinstance(v, tuple) else v for name, v in signature.attributes},
        "flops": int(cost.flops) * kernel.count,
        "bytes": int(cost.bytes_read + cost.bytes_written) * kernel.count,
        **({"count": kernel.count} if kernel.count > 1 else {}),
    }
