"""OpenVINO's execution graph as `benchmark_app -exec_graph_path` writes it: the runtime model in XML.

It says what `compiled_model.get_runtime_model()` says (`nnmeter.lab.runtimes.openvino_graph`), so that a graph of
another machine can be read where OpenVINO is not even installed. The file is a stranger's: it is read with a limit on
its layers, and one with entities of its own is refused.
"""

from __future__ import annotations

from xml.etree import ElementTree

from nnmeter.errors import MeasurementError
from nnmeter.graph.ir import TensorType
from nnmeter.graph.unbound import MAX_ELEMENTS, MAX_RANK
from nnmeter.lab.runtimes.openvino_graph import DTYPES, RuntimeNode, output_at

MOST_LAYERS = 250_000
# Names of element types in the XML beside those of the library's own.
_PRECISIONS: dict[str, str] = {
    "fp32": "f32", "fp16": "f16", "fp64": "f64", "bool": "boolean", "unspecified": "dynamic", "undefined": "dynamic",
}  # fmt: skip


def read_execution_graph(data: bytes, name: str) -> list[RuntimeNode]:
    """All nodes of an execution graph, in the order of execution.

    Args:
        data: the XML.
        name: of the file, for messages.

    Raises:
        MeasurementError: it is no execution graph, or has shapes that are not static.
    """
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise MeasurementError(f"{name}: declares entities, which no execution graph has; export it again")
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError, RecursionError) as fault:
        raise MeasurementError(f"{name}: is no whole XML file ({fault}); export it again") from fault
    layers = root.findall("./layers/layer")
    if not layers or len(layers) > MOST_LAYERS:
        raise MeasurementError(f"{name}: has {len(layers)} layers; give an execution graph of -exec_graph_path")
    try:
        return _nodes(root, layers)
    except (KeyError, ValueError, TypeError) as fault:
        raise MeasurementError(f"{name}: is no execution graph ({fault}); export it again") from fault


def _nodes(root: ElementTree.Element, layers: list[ElementTree.Element]) -> list[RuntimeNode]:
    sources: dict[tuple[str, str], tuple[str, str]] = {}
    for edge in root.findall("./edges/edge"):
        place = (edge.attrib["to-layer"], edge.attrib["to-port"])
        sources[place] = (edge.attrib["from-layer"], edge.attrib["from-port"])
    outputs: dict[str, list[str]] = {}  # ids of the output ports of each layer, in order
    layouts: dict[str, tuple[str, ...]] = {}
    types: dict[tuple[str, str], TensorType] = {}
    facts: dict[str, dict[str, str]] = {}
    for layer in layers:
        number = layer.attrib["id"]
        data = layer.find("data")
        facts[number] = dict(data.attrib) if data is not None else {}
        layouts[number] = tuple(facts[number].get("outputLayouts", "").split(","))
        ports = layer.findall("./output/port")
        outputs[number] = [port.attrib["id"] for port in ports]
        for position, port in enumerate(ports):
            types[number, port.attrib["id"]] = _type_of(port, facts[number], position, layer.attrib.get("name", ""))
    order = _topological(layers, sources)
    known: set[str] = set()  # rule 2 of openvino_graph: what only constants lead to
    found = []
    for position, layer in enumerate(order):
        number, own = layer.attrib["id"], facts[layer.attrib["id"]]
        reads = [sources[number, port.attrib["id"]] for port in layer.findall("./input/port")]
        constants = tuple(source in known for source, _ in reads)
        kind = own.get("layerType", layer.attrib["type"])
        if kind == "Const" or (constants and all(constants)):
            known.add(number)
        node = RuntimeNode(
            layer.attrib["name"],
            kind,
            own.get("primitiveType", ""),
            tuple(part for part in own.get("originalLayersNames", "").split(",") if part),
            layouts[number],
            tuple(output_at(layouts[source], outputs[source].index(port)) for source, port in reads),
            tuple(types[read] for read in reads),
            constants,
            tuple(types[number, port] for port in outputs[number]),
        )
        found.append((int(own.get("execOrder", position)), position, node))
    return [node for _, _, node in sorted(found, key=lambda item: item[:2])]


def _topological(
    layers: list[ElementTree.Element], sources: dict[tuple[str, str], tuple[str, str]]
) -> list[ElementTree.Element]:
    """The layers, each behind those that it reads."""
    by_number = {layer.attrib["id"]: layer for layer in layers}
    if len(by_number) != len(layers):
        raise ValueError("several layers have one id")
    readers: dict[str, list[str]] = {}
    missing = dict.fromkeys(by_number, 0)
    for (to, _), (origin, _) in sources.items():
        if to not in by_number or origin not in by_number:
            raise ValueError("an edge leads to no layer")
        readers.setdefault(origin, []).append(to)
        missing[to] += 1
    ready = [number for number in by_number if not missing[number]]
    for number in ready:
        for reader in readers.get(number, ()):
            missing[reader] -= 1
            if not missing[reader]:
                ready.append(reader)
    if len(ready) != len(layers):
        raise ValueError("its layers read each other in a circle")
    return [by_number[number] for number in ready]


def _type_of(port: ElementTree.Element, facts: dict[str, str], position: int, name: str) -> TensorType:
    told = port.attrib.get("precision", "").lower()
    if not told:
        precisions = facts.get("outputPrecisions", "").lower().split(",")
        told = precisions[position] if position < len(precisions) else precisions[0]
    told = _PRECISIONS.get(told, told)
    if told not in DTYPES:
        raise ValueError(f"layer {name!r:.60} has the element type {told!r:.40}")
    shape = tuple(int(dim.text or "") for dim in port.findall("dim"))
    if len(shape) > MAX_RANK or any(not 0 <= size <= MAX_ELEMENTS for size in shape):
        raise ValueError(f"layer {name!r:.60} has the shape {shape}")
    return TensorType(DTYPES[told], shape)
