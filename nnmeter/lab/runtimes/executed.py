"""Kernels of a graph that a runtime has already optimized: each node of such a dump is one kernel."""

from __future__ import annotations

from nnmeter.graph.ir import Graph
from nnmeter.kernels.kernel import Kernel
from nnmeter.kernels.naming import kernel_signature


def kernels_of_executed_graph(graph: Graph) -> list[Kernel]:
    """The kernels of a runtime's own dump, one a node, in its order.

    Args:
        graph: the optimized graph as the runtime wrote it, every shape static.

    Returns:
        One kernel for each node but `Constant`, which is a stored value. `nodes` names the node of the dump.
    """
    types, values = graph.types, graph.values
    stored = graph.initializers | {t for n in graph.nodes if n.op_type == "Constant" for t in n.outputs}
    kernels = []
    for node in graph.nodes:
        if node.op_type == "Constant" and not node.domain:
            continue
        signature = kernel_signature(
            node.op_type,
            node.domain,
            node.attributes,
            [types[name] if name else None for name in node.inputs],
            [name in stored for name in node.inputs],
            [types[name] for name in node.outputs if name in types],
            [values.get(name) if name in stored else None for name in node.inputs],
        )
        kernels.append(Kernel(node.name, signature, (node.name,)))
    return kernels
