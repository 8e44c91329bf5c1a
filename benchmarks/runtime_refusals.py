"""Asks OpenVINO what it does not run, operator by operator.

    python benchmarks/runtime_refusals.py > nnmeter/devices/refused/openvino_cpu.json

It is given the models of one node of ONNX's suite (`onnx_suite.py`); an operator is refused where it has no translator
for it: it converts none of them. What ONNX Runtime has kernels for, it says itself (`runtime_kernels.py`).
"""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any

import click
import onnx

_SKIPPED = frozenset({"If", "Loop", "Scan", "SequenceMap", "Constant"})

# Forms of operators that it refused, tried one by one.
_FORMS: list[dict[str, Any]] = [
    {"operators": ["Dropout"], "where": {"training": [1]}, "why": "training mode is not supported"},
    {"operators": ["Pad"], "where": {"mode": ["wrap"]}, "why": "the padding mode wrap is not supported"},
    {"operators": ["Resize"], "where": {"coordinate_transformation_mode": ["half_pixel_symmetric"]},
     "why": "coordinates of half_pixel_symmetric are not supported"},
]  # fmt: skip


def not_translated() -> list[str]:
    """Operators of ai.onnx of which OpenVINO converts no model of ONNX's suite."""
    import openvino
    from onnx_suite import cases

    core = openvino.Core()
    converted: dict[str, bool] = {}
    for case in cases(("node",)):
        nodes = case.model.graph.node
        if len(nodes) == 1 and not nodes[0].domain and nodes[0].op_type not in _SKIPPED:
            op_type = nodes[0].op_type
            if not converted.get(op_type):
                converted[op_type] = _reads(core, case.model)
    return sorted(op_type for op_type, read in converted.items() if not read)


def _reads(core: Any, model: onnx.ModelProto) -> bool:
    try:
        core.read_model(model.SerializeToString())
    except RuntimeError:
        return False
    return True


@click.command()
def main() -> None:
    """Print the table."""
    table = {
        "runtime": "openvino",
        "version": ".".join(version("openvino").split(".")[:2]),
        "source": "read_model on the models of ONNX's suite (benchmarks/runtime_refusals.py)",
        "element_types": {},
        "operators": dict.fromkeys(not_translated(), "OpenVINO has no translator for it"),
        "forms": _FORMS,
    }
    click.echo(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
