"""Sound measurements of a made-up device, and what `bad_numbers.py` changes in them so that they cannot be right."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nnmeter.graph.ir import TensorType
from nnmeter.kernels.features import signature_cost
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.lab.measuring.measurement import Measurement

Columns = dict[str, list[Any]]
Fingerprint = dict[str, Any]


def networks(granularity: str, first: int, count: int) -> list[Measurement]:
    """Networks of convolutions and sums that take what a formula says."""
    chance = np.random.default_rng(first)
    found = []
    for number in range(first, first + count):
        kernels = []
        for _ in range(8):
            channels, size = int(chance.choice([16, 32, 64, 128, 256])), int(chance.choice([7, 14, 28, 56]))
            x = TensorType("float32", (1, channels, size, size))
            inputs = (x, TensorType("float32", (channels, channels, 3, 3)), TensorType("float32", (channels,)))
            given = (("activation", "Relu"), ("kernel_shape", (3, 3)), ("pads", (1, 1, 1, 1)))
            kernels += [KernelSignature("Conv+Relu", "Conv", "", inputs, (False, True, True), (x,), given)]
            kernels += [KernelSignature("Add", "Add", "", (x, x), (False, False), (x,))]
        costs = [signature_cost(kernel) for kernel in kernels]
        times = tuple(c.flops / 40e6 + (c.bytes_read + c.bytes_written) / 8e6 + 0.004 for c in costs)
        total = sum(times)
        found.append(
            Measurement(
                f"{granularity}:net-{number}",
                granularity,
                f"net-{number}",
                f"f{number % 7}",
                tuple(kernels),
                total,
                total,
                total,
                total,
                9,
                1.25,
                (total, 1.01 * total),
                1,
                1,
                "2026-01-01T00:00:00",
                times,
                (0.01,) * len(times),
                9,
            )
        )
    return found


# --- What is changed in a file: its columns as lists, and its fingerprint


def number(name: str, value: object, inner: bool = False) -> Callable[[Columns, Fingerprint], None]:
    """One row has another number in a column, or in the list that is there."""

    def change(columns: Columns, _: Fingerprint) -> None:
        row = len(columns[name]) // 2
        if inner:
            columns[name][row] = [*columns[name][row][:-1], value]
        else:
            columns[name][row] = value

    return change


def whole(name: str, make: Callable[[Any], Any]) -> Callable[[Columns, Fingerprint], None]:
    """All values of a column are others."""

    def change(columns: Columns, _: Fingerprint) -> None:
        columns[name] = [make(value) for value in columns[name]]

    return change


def scaled(factor: float) -> Callable[[Columns, Fingerprint], None]:
    """All times of one row are so many times as long."""

    def change(columns: Columns, _: Fingerprint) -> None:
        row = len(columns["id"]) // 2
        for name in ("latency_ms", "min_ms", "median_ms", "p90_ms", "half_a_ms", "half_b_ms"):
            columns[name][row] *= factor
        columns["kernel_ms"][row] = [factor * value for value in columns["kernel_ms"][row]]

    return change


def told(**changes: object) -> Callable[[Columns, Fingerprint], None]:
    """The fingerprint says something else."""
    return lambda _, fingerprint: fingerprint.update(changes)


def _drop(columns: Columns, _: Fingerprint) -> None:
    del columns["latency_ms"]


def _double(columns: Columns, _: Fingerprint) -> None:
    for values in columns.values():
        values += values[:3]


def _empty(columns: Columns, _: Fingerprint) -> None:
    for values in columns.values():
        values.clear()


def _deep(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


_NUMBERS = {"zero": 0.0, "negative": -1.0, "nan": math.nan, "inf": math.inf, "1e308": 1e308, "1e-300": 1e-300,
            "null": None}  # fmt: skip
_SIGNATURES = {
    "deep": "[" * 100_000,
    "of-no-type": '["Conv","Conv","",[["float99",1]],[false],[],{}]',
    "of-huge-sizes": '["Conv","Conv","",[["float32",9223372036854775807,9223372036854775807]],[false],[],{}]',
    "of-nan": '["Add","Add","",[["float32",4]],[false],[["float32",4]],{"a":NaN}]',
    "an-object": "{}",
    "odd-attributes": '["Conv","Conv","",[["float32",1,8,9,9],["float32",8,8,3,3]],[false,true],[["float32",1,8,9,9]],'
    '{"strides":[0,0],"kernel_shape":["x"],"pads":"y","group":0,"dilations":[-1,1e308]}]',
    "no-inputs": '["Conv","Conv","",[],[],[["float32",1,8,9,9]],{}]',
    "no-outputs": '["Conv","Conv","",[["float32",1,8,9,9],["float32",8,8,3,3]],[false,true],[],{}]',
    "scalars": '["Conv","Conv","",[["float32"],["float32"]],[false,true],[["float32"]],{}]',
    "texts": '["MatMul","MatMul","",[["string",4,4],["string",4,4]],[false,false],[["string",4,4]],{}]',
    "unknown": '["Zzz","Zzz","own",[["float32",4]],[false],[["float32",4]],{"a":"b"}]',
    "attributes-of-inf": '["Add","Add","",[["float32",4]],[false],[["float32",4]],{"a":1e999}]',
}
CHANGES: dict[str, Callable[[Columns, Fingerprint], None]] = {
    **{
        f"{column}-{name}": number(column, value, column.startswith("kernel_"))
        for column in ("latency_ms", "reference_ms", "min_ms", "half_a_ms", "kernel_ms", "kernel_spread")
        for name, value in _NUMBERS.items()
    },
    "all-zero": whole("latency_ms", lambda _: 0.0),
    "texts-for-numbers": whole("latency_ms", str),
    "numbers-for-texts": whole("id", len),
    "booleans": whole("latency_ms", bool),
    "lists": whole("latency_ms", lambda value: [value]),
    "missing-column": _drop,
    "doubled-rows": _double,
    "no-rows": _empty,
    "outlier-1e6": scaled(1e6),
    "outlier-1e-6": scaled(1e-6),
    "outlier-of-a-reference": number("reference_ms", 1.25e6),
    "outlier-of-a-kernel": number("kernel_ms", 1e6, True),
    "negative-runs": number("runs", -1),
    "huge-threads": number("threads", 2**40),
    "no-batch": number("batch", 0),
    "no-kernels": number("kernels", []),
    "one-kernel": number("kernels", ["[]"]),
    "control-characters": number("network", "\x1b[2Jnet-1"),
    "odd-granularity": number("granularity", "../x"),
    "out-of-order": number("p90_ms", 1e-5),
    **{f"kernel-{name}": number("kernels", text, True) for name, text in _SIGNATURES.items()},
    **{f"fingerprint-{name}": told(**{name: value}) for name, value in {
        "threads": None, "sittings": None, "runtime": "../../x", "cores": "many", "caches": {"L1d": _deep(9)},
        "reference_ms": 0, "profiles": {"tools": 5}, "published": [1], "fusion_rules": "/etc/passwd",
        "fusion_parameters": {"rules": 1}, "cpu_family": ["6"], "flags": 5, "date": "\x1b[31m", "memory_gib": math.nan,
        "mhz_now": 10**400, "note": _deep(900), "isa": "quantum", "kind": "banana",
    }.items()},
    "another-machine": told(cpu_model="999", cpu="Another CPU 9999"),
}  # fmt: skip
BYTES: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda data: data[: 2 * len(data) // 3],
    "cut-end": lambda data: data[:-1],
    "empty": lambda _: b"",
    "noise": lambda data: b"PAR1" + random.Random(0).randbytes(len(data)) + b"PAR1",
    "a-flipped-bit": lambda data: data[:900] + bytes([data[900] ^ 4]) + data[901:],
    "fingerprint-no-object": lambda data: data.replace(b"nnmeter.fingerprint", b"nnmeter.fingerprimt"),
}


def damage(name: str, path: Path) -> None:
    """Change a file of measurements in the way of that name; it has no checksum then, as other writers' have none."""
    import pyarrow as pa
    from pyarrow import parquet

    if name in BYTES:
        path.write_bytes(BYTES[name](path.read_bytes()))
        return
    table = parquet.read_table(path)
    columns = {column: table[column].to_pylist() for column in table.column_names}
    metadata = dict(table.schema.metadata)
    fingerprint = json.loads(metadata[b"nnmeter.fingerprint"])
    CHANGES[name](columns, fingerprint)
    metadata[b"nnmeter.fingerprint"] = json.dumps(fingerprint).encode()
    parquet.write_table(pa.table(columns).replace_schema_metadata(metadata), path)


def flipped(data: bytes, number: int) -> bytes:
    """Damage of the kinds that disks and networks do."""
    chance = random.Random(number)
    changed = bytearray(data)
    at = chance.randrange(len(changed))
    kind = number % 4
    if kind == 0:
        for _ in range(chance.randint(1, 4)):
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    elif kind == 1:
        changed[at : at + 512] = bytes(len(changed[at : at + 512]))
    elif kind == 2:
        changed[at:at] = changed[max(at - 512, 0) : at]
    else:
        del changed[at:]
    return bytes(changed)
