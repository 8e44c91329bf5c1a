"""Packs recorded networks into the files that ship, after a check of each.

Rules:

1. A network is bound at batch 1 and at batch 4 by nnmeter: every shape must follow, and its FLOPs be four times those
   of batch 1, but for constants.
2. Sizes of one network whose nodes are the same share a line.
3. Lines are sorted by name, so that relatives stand together, and cut into files of about `SHARD` bytes of text.
4. Networks that were packed before, and are not among the recorded ones, stay where that is asked for.
"""

from __future__ import annotations

import json
import lzma
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnmeter.binding.bind import bind_shapes
from nnmeter.graph.ir import Graph
from nnmeter.lab.importing.public_networks.description import assemble
from nnmeter.operators.cost import operator_cost

if TYPE_CHECKING:
    from graphs_extract import Wanted

SHARD = 6_000_000


def pack(networks: list[Wanted], tables: Path, work: Path, output: Path, keep: bool = False) -> None:
    """Write index.json.xz and graphs-*.jsonl.xz; `keep` what is there and was not recorded (rule 4)."""
    from graphs_extract import fault_of, refusals, target

    lines: dict[str, list[dict[str, Any]]] = {}  # by network
    refused = refusals(tables)
    for w in sorted(networks, key=lambda w: (w.name, w.size)):
        path = target(work, w)
        if not path.exists():
            if fault_of(work, w).exists():
                refused[f"{w.name}@{text(w.size)}"] = (
                    f"cannot be recorded at {text(w.size)}: {fault_of(work, w).read_text()}"
                )
            continue
        line = json.loads(path.read_text())
        parameters = line.pop("parameters", None)
        checked = path.with_suffix(".checked")
        if not checked.exists() or checked.stat().st_mtime < path.stat().st_mtime:
            try:
                checked.write_text(json.dumps(check(line, parameters)))
            except Exception as fault:
                print(f"{w.name} {w.size}: {type(fault).__name__}: {str(fault)[:200]}", file=sys.stderr, flush=True)
                checked.unlink(missing_ok=True)
                refused[f"{w.name}@{text(w.size)}"] = f"fails the check at {text(w.size)}"
                continue
        alike = [known for known in lines.setdefault(w.name, []) if known["line"]["nodes"] == line["nodes"]
                 and known["line"].get("outputs") == line.get("outputs")]  # fmt: skip
        entry = alike[0] if alike else {"line": line, "sizes": {}}
        if not alike:
            lines[w.name].append(entry)
        entry["sizes"][text(w.size)] = line["inputs"]
    if keep:
        packed, known = packed_before(output)
        lines |= {name: entries for name, entries in packed.items() if name not in lines}
        refused = {name: why for name, why in {**known, **refused}.items() if name.partition("@")[0] not in lines}
    write(dict(sorted(lines.items())), refused, output)


def packed_before(output: Path) -> tuple[dict[str, list[dict[str, Any]]], dict[str, str]]:
    """The lines of each network that is packed, with their sizes, and why others are refused."""
    index = json.loads(lzma.decompress((output / "index.json.xz").read_bytes()))
    shards = [
        lzma.decompress(path.read_bytes()).decode().split("\n") for path in sorted(output.glob("graphs-*.jsonl.xz"))
    ]
    found: dict[str, list[dict[str, Any]]] = {}
    for name, sizes in index["networks"].items():
        places: dict[tuple[int, int], dict[str, Any]] = {}
        for stated, (shard, number, inputs) in sizes.items():
            line = {"line": json.loads(shards[shard][number]), "sizes": {}}
            places.setdefault((shard, number), line)["sizes"][stated] = inputs
        found[name] = list(places.values())
    return found, index["refused"]


def text(size: tuple[int, ...]) -> str:
    return "x".join(map(str, size))


def write(lines: dict[str, list[dict[str, Any]]], refused: dict[str, str], output: Path) -> None:
    """Write the files (rule 3)."""
    shards: list[list[str]] = [[]]
    index: dict[str, Any] = {}
    size = 0
    for name, entries in lines.items():
        for entry in entries:
            line = {key: value for key, value in entry["line"].items() if key != "inputs"}
            row = json.dumps(line, separators=(",", ":"))
            if size > SHARD:
                shards.append([])
                size = 0
            size += len(row)
            for stated, inputs in entry["sizes"].items():
                index.setdefault(name, {})[stated] = [len(shards) - 1, len(shards[-1]), inputs]
            shards[-1].append(row)
    output.mkdir(parents=True, exist_ok=True)
    for number, rows in enumerate(shards):
        save(output / f"graphs-{number:02d}.jsonl.xz", "\n".join(rows))
    save(output / "index.json.xz", json.dumps({"networks": index, "refused": refused}, separators=(",", ":")))
    for old in set(output.glob("graphs-*.xz")) - {output / f"graphs-{n:02d}.jsonl.xz" for n in range(len(shards))}:
        old.unlink()
    whole = sum(path.stat().st_size for path in output.glob("*.xz"))
    pairs = sum(map(len, index.values()))
    print(f"{len(index)} networks, {pairs} sizes, {sum(map(len, shards))} lines, {len(shards)} files, {whole} bytes")


def save(path: Path, content: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_bytes(lzma.compress(content.encode(), preset=9 | lzma.PRESET_EXTREME))
    fresh.replace(path)


def check(line: dict[str, Any], parameters: int | None) -> dict[str, int]:
    """Parameters and FLOPs of a network (rule 1)."""
    graph = bind_shapes(assemble(line, line["inputs"], 1))
    one, four = flops(graph), flops(bind_shapes(assemble(line, line["inputs"], 4)))
    if not 3.5 * one <= four <= 4.001 * one:
        raise ValueError(f"{one} FLOPs at batch 1 and {four} at batch 4")
    found = {"flops": one, "weights": weights(graph)}
    if parameters is not None:
        found["parameters"] = parameters
    return found


def flops(graph: Graph) -> int:
    return sum(
        operator_cost(node.op_type, node.domain, node.attributes, [graph.types.get(i) for i in node.inputs],
                      [graph.types[o] for o in node.outputs if o]).flops
        for node in graph.nodes
    )  # fmt: skip


def weights(graph: Graph) -> int:
    """Elements of all constants of floats."""
    return sum(graph.types[name].elements for name in graph.initializers if graph.types[name].dtype == "float32")
