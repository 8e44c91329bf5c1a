"""What a quantizer is given where its pre-processing is used: the graph after ONNX Runtime's basic optimizations.

`quant_pre_process` writes the model that a session with ORT_ENABLE_BASIC would run, in which batch normalization is
part of convolutions and constants are folded. These are the first stages of the rule set for ONNX Runtime (`STAGES`),
so the same rules make it here. A model with loops or branches is given as it is. What binding notes of an operator
(`nnmeter.operators.noted`) is no attribute of a model.
"""

from __future__ import annotations

from dataclasses import replace

from nnmeter.binding.bind import bind_shapes
from nnmeter.fusion.detect import rewrite_graph
from nnmeter.fusion.engine.rewriting import split_kind
from nnmeter.fusion.loading import load_rules
from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes
from nnmeter.graph.ir import Graph, Node
from nnmeter.graph.unbound import MAX_KNOWN_ELEMENTS, UnboundModel
from nnmeter.operators.schemas import Schemas
from nnmeter.transforms.draft import fitting_sizes

RULES = "onnxruntime_cpu"
STAGES = ("basic", "functions without kernels")


def prepare(model: UnboundModel, sizes: InputSizes = AS_DECLARED) -> UnboundModel:
    """The model as ONNX Runtime's basic optimizations leave it.

    Args:
        model: the model.
        sizes: what it leaves open; the result has these sizes fixed.
    """
    graph = bind_shapes(model, fitting_sizes(model, sizes))
    if any(isinstance(value, Graph) for node in graph.nodes for value in node.attributes.values()):
        return model
    rules = load_rules(RULES)
    basic = replace(rules, stages=tuple([stage for stage in rules.stages if stage.name in STAGES]))
    work = rewrite_graph(graph, basic)
    schemas = Schemas(model.opsets)
    nodes = []
    for node in work.ordered():
        domain, op_type = split_kind(node.kind)
        schema = schemas.of(domain, op_type)
        attributes = {
            key: value
            for key, value in node.attributes.items()
            if not key.startswith("~") and (schema is None or key in schema.kinds or key.startswith("_"))
        }
        nodes.append(Node(op_type, domain, node.name, tuple(node.inputs), tuple(node.outputs), attributes))
    read = {name for node in nodes for name in node.inputs} | set(work.results)
    constants = {name: work.types[name] for name in work.constants if name in read}
    values = {name: work.values[name] for name in constants if name in work.values}
    inputs = [
        replace(declared, dims=graph.types[declared.name].shape) if not declared.container else declared
        for declared in model.inputs
    ]
    outputs = [
        replace(declared, name=name, dims=work.types[name].shape) if not declared.container else declared
        for declared, name in zip(model.outputs, work.results, strict=True)
    ]
    return replace(
        model,
        nodes=nodes,
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        constants=constants,
        values={name: value for name, value in values.items() if value.size <= MAX_KNOWN_ELEMENTS},
        value_info=dict,
        overridable=model.overridable & constants.keys(),
    )
