"""Files that are made to be slow or to fill the memory, and what `nnmeter predict` takes of them.

    python benchmarks/hostile_files.py [--device ID_OR_PATH] [--scale 1.0] [--under BYTES] [NAME ...]

Each file is made by a few lines below, written to a temporary directory, and predicted by a process of its own. Printed
are its size, seconds of the processor, peak memory, exit code, and the last line that the process said. With `--under`,
each is cut to nearly that many bytes. Exit code 1 if a file of less than 1 MB took more than 5 s or 1 GB, or one ended
with another code than 0 or 2.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

import click

MB = 1_000_000
SLOWEST_S, MOST_MB = 5.0, 1000.0
FLOAT, INT64, BOOL = 1, 7, 9


def varint(value: int) -> bytes:
    """A protobuf varint."""
    data = bytearray()
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    return bytes([*data, value])


def part(number: int, payload: bytes | str | int) -> bytes:
    """A field of a message: bytes and texts with their length, integers as varints."""
    if isinstance(payload, int):
        return varint(number << 3) + varint(payload & (1 << 64) - 1)
    data = payload.encode() if isinstance(payload, str) else payload
    return varint(number << 3 | 2) + varint(len(data)) + data


def node(
    op: str, reads: Iterable[str], writes: Iterable[str], name: str = "", domain: str = "", **given: object
) -> bytes:
    """A NodeProto in field 1 of a GraphProto; attributes are whole numbers, lists of them, or graphs as bytes."""
    body = b"".join(part(1, n) for n in reads) + b"".join(part(2, n) for n in writes)
    body += (part(3, name) if name else b"") + part(4, op) + (part(7, domain) if domain else b"")
    return part(1, body + b"".join(part(5, _attribute(key, value)) for key, value in given.items()))


def _attribute(key: str, value: object) -> bytes:
    if isinstance(value, bytes):
        return part(1, key) + part(6, value) + part(20, 5)
    if isinstance(value, int):
        return part(1, key) + part(3, value) + part(20, 2)
    return part(1, key) + part(8, b"".join(map(varint, value))) + part(20, 7)  # type: ignore[call-overload]


def declared(name: str, dtype: int = FLOAT, shape: Iterable[int] | None = ()) -> bytes:
    """A ValueInfoProto."""
    dims = b"" if shape is None else part(2, b"".join(part(1, part(1, size)) for size in shape))
    return part(1, name) + part(2, part(1, part(1, dtype) + dims))


def free(name: str, dimension: str) -> bytes:
    """A ValueInfoProto of one free dimension."""
    return part(1, name) + part(2, part(1, part(1, FLOAT) + part(2, part(1, part(2, dimension)))))


def tensor(name: str, dims: Iterable[int], values: Iterable[int]) -> bytes:
    """A TensorProto of int64 in field 5 of a GraphProto."""
    raw = b"".join(value.to_bytes(8, "little", signed=True) for value in values)
    return part(5, b"".join(part(1, size) for size in dims) + part(2, INT64) + part(8, name) + part(9, raw))


def model(
    *graph: bytes, inputs: Iterable[bytes] = (), outputs: Iterable[str] = ("y",), functions: bytes = b""
) -> bytes:
    """A ModelProto of operator set 21."""
    whole = b"".join(graph) + b"".join(part(11, i) for i in inputs) + b"".join(part(12, part(1, o)) for o in outputs)
    return part(1, 10) + part(8, part(2, 21)) + part(8, part(1, "own") + part(2, 1)) + part(7, whole) + functions


X = declared("x", FLOAT, (1, 8, 8, 8))
# What the body of a Loop reads and returns.
ENDS = part(11, declared("i", INT64)) + part(11, declared("k", BOOL)) + part(12, part(1, "k")) + part(12, part(1, "y"))


def chain(count: int, op: str, domain: str = "", first: str = "x", extra: Iterable[str] = (), **given: object) -> bytes:
    """Operators one behind another, the last of which writes `y`."""
    names = [first, *(f"{i:x}" for i in range(count - 1)), "y"]
    return b"".join(node(op, [a, *extra], [b], "", domain, **given) for a, b in pairwise(names))


def loop_with_a_long_name(scale: float) -> bytes:
    body = ENDS + chain(int(60_000 * scale), "Tan")
    return model(tensor("_n", (), [3]), node("Loop", ["_n", ""], ["y"], "n" * 65_000, body=body), inputs=[X])


def if_with_a_long_name(scale: float) -> bytes:
    branch = part(12, part(1, "y")) + chain(int(60_000 * scale), "Tan")
    flag = declared("flag", BOOL)
    return model(
        node("If", ["flag"], ["y"], "n" * 65_000, then_branch=branch, else_branch=branch),
        inputs=[X, flag],
    )


def loops_in_loops(scale: float) -> bytes:
    """Loops around a chain, each with a body that is inferred more than once."""
    body = ENDS + part(11, declared("_c", FLOAT, None)) + chain(int(30_000 * scale), "Tan", first="_c")
    for _ in range(12):
        inner = node("Loop", ["_n", "", "_c"], ["y"], body=body)
        body = ENDS + part(11, declared("_c", FLOAT, None)) + inner
    return model(tensor("_n", (), [3]), node("Loop", ["_n", "", "x"], ["y"], body=body), inputs=[X])


def loops_that_grow(scale: float) -> bytes:
    """The same with bodies whose tensors grow, so that each is inferred for several shapes."""
    carried = part(11, declared("_c", FLOAT, None))
    body = ENDS + carried + chain(int(25_000 * scale), "Tan", first="_d") + node("Concat", ["_c", "x"], ["_d"], axis=0)
    for _ in range(6):
        inner = node("Loop", ["_n", "", "_c"], ["_y"], body=body) + node("Concat", ["_y", "x"], ["y"], axis=0)
        body = ENDS + carried + inner
    return model(tensor("_n", (), [7]), node("Loop", ["_n", "", "x"], ["y"], body=body), inputs=[X])


def branches_in_branches(scale: float) -> bytes:
    """Branches whose condition is known, in one another; the innermost has all the operators."""
    branch = part(12, part(1, "y")) + chain(int(60_000 * scale), "Tan")
    small = part(12, part(1, "y")) + node("Tan", ["x"], ["y"])
    for _ in range(28):
        branch = part(12, part(1, "y")) + node("If", ["_t"], ["y"], then_branch=branch, else_branch=small)
    true = part(5, part(2, BOOL) + part(8, "_t") + part(9, b"\1"))
    return model(true, node("If", ["_t"], ["y"], then_branch=branch, else_branch=small), inputs=[X])


def transposes_of_rank_64(scale: float) -> bytes:
    perm = [*range(1, 64), 0]
    x = declared("x", FLOAT, [1] * 62 + [2, 3])
    return model(chain(int(64_000 * scale), "Transpose", perm=perm), inputs=[x])


def transposes_of_rank_3(scale: float) -> bytes:
    x = declared("x", FLOAT, [2, 3, 5])
    return model(chain(int(200_000 * scale), "Transpose", perm=[1, 2, 0]), inputs=[x])


def group_normalizations(scale: float) -> bytes:
    weights = declared("s", FLOAT, [8])
    return model(chain(int(200_000 * scale), "GroupNormalization", extra=["s", "s"], num_groups=2), inputs=[X, weights])


def unknown_operators(scale: float) -> bytes:
    count = int(200_000 * scale)
    hints = b"".join(part(13, declared(f"{i:x}", FLOAT, (1, 8))) for i in range(count - 1))
    hints += part(13, declared("y", FLOAT, (1, 8)))
    return model(chain(count, "Mystery", "own"), node("Relu", ["y"], ["z"]), hints, inputs=[X], outputs=["z"])


def known_values(scale: float) -> bytes:
    count = int(240_000 * scale)
    graph = b"".join(node("ConstantOfShape", ["n"], [f"{i:x}"]) for i in range(count - 1))
    return model(tensor("n", (1,), [1024]), graph, node("ConstantOfShape", ["n"], ["y"]))


def known_values_in_a_chain(scale: float) -> bytes:
    return model(tensor("n", (1024,), range(1024)), chain(int(200_000 * scale), "Neg", first="n"))


def initializers(scale: float) -> bytes:
    count = int(3_900_000 * scale)
    weights = b"".join(part(5, part(2, FLOAT) + part(1, 9) + part(1, 999) + part(8, f"{i:x}")) for i in range(count))
    return model(weights, node("Relu", ["x"], ["y"]), inputs=[X])


def inputs(scale: float) -> bytes:
    return model(node("Relu", ["x"], ["y"]), inputs=[X, *(declared(f"{i:x}") for i in range(int(3_000_000 * scale)))])


def value_infos(scale: float) -> bytes:
    return model(node("Relu", ["x"], ["y"]), part(13, b"") * int(30_000_000 * scale), inputs=[X])


def attributes(scale: float) -> bytes:
    given = b"".join(part(5, part(1, f"{i:x}") + part(3, i) + part(20, 2)) for i in range(int(5_000_000 * scale)))
    return model(part(1, part(1, "x") + part(2, "y") + part(4, "Relu") + given), inputs=[X])


def runs_of_one_number(scale: float) -> bytes:
    given = part(5, part(1, "nodes_treeids") + (part(8, 5) + part(13, b"")) * int(2_000_000 * scale) + part(20, 7))
    return model(part(1, part(1, "x") + part(2, "y") + part(4, "Relu") + given), inputs=[X])


def tensors_in_an_attribute(scale: float) -> bytes:
    given = part(5, part(1, "t") + part(10, part(2, FLOAT)) * int(10_000_000 * scale) + part(20, 9))
    return model(part(1, part(1, "x") + part(2, "y") + part(4, "Relu") + given), inputs=[X])


def graphs_in_an_attribute(scale: float) -> bytes:
    given = part(5, part(1, "t") + part(11, b"") * int(20_000_000 * scale) + part(20, 10))
    return model(part(1, part(1, "x") + part(2, "y") + part(4, "Relu") + given), inputs=[X])


def inputs_of_a_function(scale: float) -> bytes:
    body = part(1, "F") + part(10, "own") + part(4, "a") * int(20_000_000 * scale) + part(5, "b")
    body += part(7, part(1, "a") + part(2, "b") + part(4, "Relu"))
    return model(node("F", ["x"], ["y"], domain="own"), inputs=[X], functions=part(25, body))


def graphs_with_long_names(scale: float) -> bytes:
    """A bounded operator with long names in bodies that are inferred again and again."""
    body = ENDS + part(11, declared("_c", FLOAT, None))
    long = "n" * 60_000
    body += node("NonZero", ["_c"], [long], long + "m") + node("Cast", [long], ["y"], to=1)
    for _ in range(int(9 * min(scale, 1)) or 1):
        body = ENDS + part(11, declared("_c", FLOAT, None)) + node("Loop", ["_n", "", "_c"], ["y"], body=body)
    return model(tensor("_n", (), [3]), node("Loop", ["_n", "", "x"], ["y"], body=body), inputs=[X])


def one_tensor_for_many(scale: float) -> bytes:
    count = int(50_000 * scale)
    graph = b"".join(node("Relu", ["x"], [f"{i:x}"]) + node("Tan", [f"{i:x}"], [f"{i:x}t"]) for i in range(count))
    return model(graph, node("Identity", ["0t"], ["y"]), inputs=[X])


def many_into_one(scale: float) -> bytes:
    count = int(30_000 * scale)
    graph = b"".join(node("Identity", ["x"], [f"{i:x}"]) for i in range(count))
    return model(graph, node("Concat", [f"{i:x}" for i in range(count)], ["y"], axis=1), inputs=[X])


def branches_beside_weights(scale: float) -> bytes:
    """Many branches that are not known, and many weights that each could read."""
    count = int(60_000 * scale)
    weights = b"".join(part(5, part(2, FLOAT) + part(1, 9) + part(8, f"w{i:x}")) for i in range(count))
    branch = part(12, part(1, "a")) + node("Tan", ["x"], ["a"])
    graph = b"".join(
        node("If", ["flag"], [f"{i:x}"], then_branch=branch, else_branch=branch) for i in range(count // 4)
    )
    return model(weights, graph, node("Tan", ["0"], ["y"]), inputs=[X, declared("flag", BOOL)])


def free_dimensions(scale: float) -> bytes:
    """Inputs with free dimensions, each an expression of the one before it."""
    count = int(40_000 * scale)
    dims = ["a", *(f"{'a' * (i % 40 + 1)}+{i}" for i in range(count - 1))]
    given = [free(f"{i:x}", dim) for i, dim in enumerate(dims)]
    return model(node("Relu", ["0"], ["y"]), inputs=given)


def joined_by_adds(scale: float) -> bytes:
    """Free dimensions that the graph demands to be equal, one pair after another."""
    count = int(20_000 * scale)
    given = [free(f"{i:x}", f"d{i:x}") for i in range(count)]
    names = ["0", *(f"s{i:x}" for i in range(count - 2)), "y"]
    graph = b"".join(node("Add", [names[i], f"{i + 1:x}"], [names[i + 1]]) for i in range(count - 1))
    return model(graph, inputs=given)


def chain_of_relus(scale: float) -> bytes:
    return model(chain(int(249_000 * scale), "Relu"), inputs=[X])


def convolutions(scale: float) -> bytes:
    w = declared("w", FLOAT, (8, 8, 3, 3))
    return model(chain(int(100_000 * scale), "Conv", extra=["w"], pads=[1, 1, 1, 1]), inputs=[X, w])


def quantized(scale: float) -> bytes:
    count = int(100_000 * scale)
    names = ["x", *(f"{i:x}" for i in range(count - 1)), "y"]
    graph = b"".join(
        node("QuantizeLinear", [a, "s", "z"], [f"{b}q"]) + node("DequantizeLinear", [f"{b}q", "s", "z"], [b])
        for a, b in pairwise(names)
    )
    scale_of = part(5, part(2, FLOAT) + part(8, "s") + part(9, b"\0\0\0\x3f"))
    zero = part(5, part(2, 2) + part(8, "z") + part(9, b"\0"))
    return model(scale_of, zero, graph, inputs=[X])


def splits(scale: float) -> bytes:
    """Sequences of thousands of tensors, made again and again."""
    count = int(20_000 * scale)
    graph = b"".join(node("SplitToSequence", ["x"], [f"{i:x}"], axis=0, keepdims=1) for i in range(count))
    graph += node("SequenceLength", ["0"], ["y"])
    return model(graph, inputs=[declared("x", FLOAT, (9_999, 2))])


def forest(scale: float) -> bytes:
    """A forest as people have them: 100 trees of 4,095 nodes, of which the attributes are whole lists."""
    trees, size = int(100 * scale) or 1, 4_095
    count = trees * size
    lists = {
        "nodes_treeids": [tree for tree in range(trees) for _ in range(size)],
        "nodes_nodeids": [*range(size)] * trees,
        "nodes_featureids": [i % 30 for i in range(count)],
        "nodes_truenodeids": [min(2 * i + 1, size - 1) for i in range(size)] * trees,
        "nodes_falsenodeids": [min(2 * i + 2, size - 1) for i in range(size)] * trees,
        "target_nodeids": [*range(size // 2, size)] * trees,
        "target_treeids": [tree for tree in range(trees) for _ in range(size // 2, size)],
        "target_ids": [0] * (trees * (size - size // 2)),
    }
    floats = {"nodes_values": count, "target_weights": trees * (size - size // 2)}
    given = b"".join(part(5, _attribute(key, value)) for key, value in lists.items())
    given += b"".join(part(5, part(1, key) + part(7, bytes(4 * n)) + part(20, 6)) for key, n in floats.items())
    mode = part(9, "BRANCH_LEQ") * count
    given += part(5, part(1, "nodes_modes") + mode + part(20, 8)) + part(5, _attribute("n_targets", 1))
    ml = part(8, part(1, "ai.onnx.ml") + part(2, 3))
    body = part(1, "x") + part(2, "y") + part(4, "TreeEnsembleRegressor") + part(7, "ai.onnx.ml") + given
    return model(part(1, body), inputs=[declared("x", FLOAT, (1, 30))], functions=ml)


FILES: dict[str, Callable[[float], bytes]] = {
    maker.__name__.replace("_", "-"): maker
    for maker in (
        loop_with_a_long_name, if_with_a_long_name, loops_in_loops, loops_that_grow, branches_in_branches,
        transposes_of_rank_64, transposes_of_rank_3, group_normalizations, unknown_operators, known_values,
        known_values_in_a_chain, initializers, inputs, value_infos, attributes, runs_of_one_number,
        tensors_in_an_attribute, graphs_in_an_attribute, inputs_of_a_function, graphs_with_long_names,
        branches_beside_weights, free_dimensions, joined_by_adds, one_tensor_for_many, many_into_one,
        chain_of_relus, convolutions, quantized, splits, forest,
    )
}  # fmt: skip


def run(path: Path, device: str, seconds: int) -> tuple[float, float, int, str]:
    """Seconds of the processor, peak megabytes, exit code and last line of a process that predicts a file."""
    command = [sys.executable, "-m", "nnmeter", "predict", str(path), "--device", device, "--format", "json"]
    with tempfile.TemporaryFile() as told:
        child = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=told,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds)),
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        told.seek(0)
        lines = told.read().decode("utf-8", "replace").splitlines()
    said = lines[-1].replace(str(path), path.name) if lines else ""
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / MB, child.returncode, said


def cut(maker: Callable[[float], bytes], under: int) -> bytes:
    """The largest file of its kind with less than so many bytes, nearly."""
    scale = 0.01
    data = maker(scale)
    while not 0.9 * under < len(data) < under and scale < 1:
        scale = min(scale * 0.97 * under / len(data), 1.0)
        data = maker(scale)
    return data if len(data) < under else maker(0.5 * scale)


@click.command()
@click.option("--device", default="epyc-genoa-onnxruntime1.32-1t", help="Device pack, by id or directory.")
@click.option("--scale", default=1.0, help="Make each file so many times as large.")
@click.option("--under", type=int, help="Cut each file to less than so many bytes.")
@click.option("--seconds", default=120, help="End what takes more seconds of the processor.")
@click.argument("names", nargs=-1, type=click.Choice(list(FILES)))
def main(device: str, scale: float, under: int | None, seconds: int, names: tuple[str, ...]) -> None:
    """Predict files that are made to be slow or large."""
    faults = 0
    with tempfile.TemporaryDirectory(prefix="nnmeter-") as directory:
        for name in names or FILES:
            path = Path(directory) / f"{name}.onnx"
            path.write_bytes(FILES[name](scale) if under is None else cut(FILES[name], under))
            size = path.stat().st_size
            seconds_taken, memory, code, said = run(path, device, seconds)
            bad = code not in (0, 2) or (size < MB and (seconds_taken > SLOWEST_S or memory > MOST_MB))
            faults += bad
            click.echo(
                f"{'FAULT ' * bad}{name:26} {size / MB:8.2f} MB {seconds_taken:7.2f} s {memory:7.0f} MB  "
                f"code {code}  {said[:110]}"
            )
            path.unlink()
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
