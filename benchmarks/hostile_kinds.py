"""Kinds of ONNX files that are made to be slow or to fill the memory; `hostile_files.py` predicts them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from onnx_bytes import (
    BOOL,
    ENDS,
    FLOAT,
    X,
    attribute,
    chain,
    declared,
    free,
    model,
    node,
    part,
    tensor,
)  # fmt: skip


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
    given = b"".join(part(5, attribute(key, value)) for key, value in lists.items())
    given += b"".join(part(5, part(1, key) + part(7, bytes(4 * n)) + part(20, 6)) for key, n in floats.items())
    mode = part(9, "BRANCH_LEQ") * count
    given += part(5, part(1, "nodes_modes") + mode + part(20, 8)) + part(5, attribute("n_targets", 1))
    ml = part(8, part(1, "ai.onnx.ml") + part(2, 3))
    body = part(1, "x") + part(2, "y") + part(4, "TreeEnsembleRegressor") + part(7, "ai.onnx.ml") + given
    return model(part(1, body), inputs=[declared("x", FLOAT, (1, 30))], functions=ml)


def known_values_that_double(scale: float) -> bytes:
    """Each operator doubles a tensor whose values are known; the last ones would have 2^60 elements."""
    count = int(10_000 * scale)
    names = ["n", *(f"{i:x}" for i in range(count - 1)), "y"]
    graph = b"".join(node("Concat", [a, a], [b], axis=0) for a, b in pairwise(names[:60]))
    rest = b"".join(node("Concat", ["n", "n"], [b], axis=0) for b in names[60:])
    return model(tensor("n", (16,), range(16)), graph, rest)


def ranges(scale: float) -> bytes:
    """Ranges of 2^31 known values each, and shapes that are made of them."""
    graph = b"".join(
        node("Range", ["zero", "much", "one"], [f"{i:x}"]) + node("ReduceMax", [f"{i:x}"], [f"{i:x}m"], keepdims=0)
        for i in range(int(50_000 * scale))
    )
    numbers = tensor("zero", (), [0]), tensor("much", (), [2**31]), tensor("one", (), [1])
    return model(*numbers, graph, node("Identity", ["0m"], ["y"]))


def shape_arithmetic(scale: float) -> bytes:
    """Reshapes to what is computed of the shape before, as exporters write them by the dozen."""
    graph, last = b"", "x"
    for i in range(int(30_000 * scale)):
        graph += node("Shape", [last], [f"{i:x}s"]) + node("Gather", [f"{i:x}s", "order"], [f"{i:x}g"], axis=0)
        graph += node("Reshape", [last, f"{i:x}g"], [f"{i:x}"])
        last = f"{i:x}"
    return model(tensor("order", (4,), [0, 2, 1, 3]), graph, inputs=[X], outputs=[last])


def functions_that_double(scale: float) -> bytes:
    """Each function calls the next one twice."""
    depth = 30
    functions = b""
    for i in range(depth):
        calls = (
            [node(f"f{i + 1}", ["a"], ["m"], domain="own"), node(f"f{i + 1}", ["m"], ["b"], domain="own")]
            if i + 1 < depth
            else [node("Relu", ["a"], ["b"])] + [node("Tan", ["a"], [f"t{n}"]) for n in range(int(20_000 * scale))]
        )
        body = (
            part(1, f"f{i}")
            + part(4, "a")
            + part(5, "b")
            + part(9, part(2, 21))
            + part(9, part(1, "own") + part(2, 1))
            + part(10, "own")
        )
        functions += part(25, body + b"".join(part(7, call[_node_start(call) :]) for call in calls))
    return model(node("f0", ["x"], ["y"], domain="own"), inputs=[X], functions=functions)


def _node_start(written: bytes) -> int:
    """Where the NodeProto begins that `node` wrote as a field of a graph."""
    return next(i for i in range(1, len(written)) if written[i] < 128) + 1


def sums_of_themselves(scale: float) -> bytes:
    """Each tensor is added to itself: 2^n paths from the input to the output."""
    names = ["x", *(f"{i:x}" for i in range(int(150_000 * scale))), "y"]
    return model(b"".join(node("Add", [a, a], [b]) for a, b in pairwise(names)), inputs=[X])


def splits_and_concats(scale: float) -> bytes:
    """Tensors that are cut into a thousand parts and put together again, again and again."""
    wide, graph, last = 1_000, b"", "x"
    for i in range(max(int(200 * scale), 1)):
        parts = [f"{i:x}p{n:x}" for n in range(wide)]
        graph += node("Split", [last], parts, axis=0, num_outputs=wide) + node("Concat", parts, [f"{i:x}"], axis=0)
        last = f"{i:x}"
    return model(graph, inputs=[declared("x", FLOAT, (wide, 8))], outputs=[last])


def sequences_that_grow(scale: float) -> bytes:
    """A sequence that is given one more tensor by each operator."""
    count = int(9_000 * scale)
    names = ["0", *(f"{i:x}" for i in range(1, count))]
    graph = node("SequenceConstruct", ["x"], ["0"])
    graph += b"".join(node("SequenceInsert", [a, "x"], [b]) for a, b in pairwise(names))
    return model(graph, node("ConcatFromSequence", [names[-1]], ["y"], axis=0), inputs=[X])


def scans_in_scans(scale: float) -> bytes:
    """Scans around a chain, each of a sequence of eight."""
    body = part(11, declared("_c", FLOAT, None)) + part(12, part(1, "y"))
    body += chain(int(40_000 * scale), "Tan", first="_c")
    for _ in range(3):
        inner = node("Scan", ["_d"], ["y"], body=body, num_scan_inputs=1)
        body = part(11, declared("_d", FLOAT, None)) + part(12, part(1, "y")) + inner
    return model(node("Scan", ["x"], ["y"], body=body, num_scan_inputs=1), inputs=[X])


def scopes_of_modules(scale: float) -> bytes:
    """Names of modules, as exporters keep them beside operators, that are lists in lists."""
    scope = part(9, part(1, "pkg.torch.onnx.name_scopes") + part(2, "[" * 30_000))
    names = ["x", *(f"{i:x}" for i in range(int(300 * scale))), "y"]
    graph = b"".join(part(1, part(1, a) + part(2, b) + part(4, "Tan") + scope) for a, b in pairwise(names))
    return model(graph, inputs=[X])


def pads_without_end(scale: float) -> bytes:
    """Sizes that grow until they are beyond 2^63."""
    pads = tensor("p", (8,), [0, 0, 0, 0, 0, 0, 0, 2**50])
    names = ["x", *(f"{i:x}" for i in range(int(100_000 * scale))), "y"]
    return model(pads, b"".join(node("Pad", [a, "p"], [b]) for a, b in pairwise(names)), inputs=[X])


def hubs(scale: float) -> bytes:
    """One tensor that all operators read, dequantized, and whose readers are quantized again."""
    count = int(30_000 * scale)
    scale_of = part(5, part(2, FLOAT) + part(8, "s") + part(9, b"\0\0\0\x3f"))
    zero = part(5, part(2, 2) + part(8, "z") + part(9, b"\0"))
    graph = node("QuantizeLinear", ["x", "s", "z"], ["q"]) + node("DequantizeLinear", ["q", "s", "z"], ["hub"])
    for i in range(count):
        graph += node("Add", ["hub", "hub"], [f"{i:x}"]) + node("QuantizeLinear", [f"{i:x}", "s", "z"], [f"{i:x}q"])
    return model(scale_of, zero, graph, inputs=[X], outputs=[f"{i:x}q" for i in range(count)])


def contradicting_infos(scale: float) -> bytes:
    """A chain whose declared shapes are one size apart, so that each must be looked at."""
    count = int(60_000 * scale)
    infos = b"".join(part(13, free(f"{i:x}", f"d{i % 1000}")) for i in range(count - 1))
    return model(chain(count, "Relu"), infos, inputs=[free("x", "n")])


FILES: dict[str, Callable[[float], bytes]] = {
    maker.__name__.replace("_", "-"): maker
    for maker in (
        loop_with_a_long_name, if_with_a_long_name, loops_in_loops, loops_that_grow, branches_in_branches,
        transposes_of_rank_64, transposes_of_rank_3, group_normalizations, unknown_operators, known_values,
        known_values_in_a_chain, initializers, inputs, value_infos, attributes, runs_of_one_number,
        tensors_in_an_attribute, graphs_in_an_attribute, inputs_of_a_function, graphs_with_long_names,
        branches_beside_weights, free_dimensions, joined_by_adds, one_tensor_for_many, many_into_one,
        chain_of_relus, convolutions, quantized, splits, forest, known_values_that_double, ranges, shape_arithmetic,
        functions_that_double, sums_of_themselves, splits_and_concats, sequences_that_grow, scans_in_scans,
        scopes_of_modules, pads_without_end, hubs, contradicting_infos,
    )
}  # fmt: skip
