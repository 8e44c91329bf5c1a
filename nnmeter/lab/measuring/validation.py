"""What a measurement must be before anything is done with it; every verb that reads measurements asks here, once.

Rules:

1. Columns have the types that a writer gives them, and no value is missing.
2. A latency and a reference time are times (`nnmeter.devices.fingerprint_fields.is_time`); so are minimum, median and
   90th percentile, in this order, which may be unknown (NaN) where the row has no runs, as times that others published.
   Halves and times of kernels may be 0.
3. A row has kernels, and of profiled ones a time, a spread (one of a kernel that takes no time may be no number) and
   runs; counts are not negative, threads and batch above 0.
4. A kernel's signature has known element types, sizes of 0 and more, and attributes that are finite numbers, words or
   lists of them; what is learned from is what its operator takes, so that it has features.
5. Texts have no control characters, and `_MOST_CHARACTERS` at most.
6. Ids are unique.
7. A fingerprint is as `nnmeter.devices.fingerprint_fields` has it.
8. A row whose time is `_ABSURD` times more or less than that of the other rows for a like amount of work is not that of
   its kernels (`split_outliers`). The amount is what a plain machine would take: a start, operations and bytes. Nor can
   a row be of the same machine whose reference takes `_OTHER_REFERENCE` times more or less than that of the others, nor
   whole whose kernels take `_MORE_THAN_WHOLE` times as long as itself and what a profiler adds to each.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from statistics import median
from typing import Any

from nnmeter.devices.fingerprint_fields import LONGEST_MS, is_time
from nnmeter.files import is_number
from nnmeter.graph.dtypes import CODE_OF_DTYPE
from nnmeter.graph.unbound import MAX_ELEMENTS, MAX_RANK
from nnmeter.kernels.features import kernel_features, signature_cost
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.lab.measuring.measurement import GRANULARITIES, Measurement

_MOST_COUNT = 2**31 - 1
_MOST_CHARACTERS = 4_096
_START_MS, _OPERATIONS, _BYTES = 1e-3, 1e8, 1e7  # rule 8: of a kernel; a millisecond
_ABSURD = 300.0  # in the data that ship, the largest factor is 33
_OTHER_REFERENCE = 10.0  # states of one server differ by a factor of 1.5
_MORE_THAN_WHOLE, _PROFILER_MS = 10.0, 0.1
_FEWEST = 8  # rows that tell what is usual


def faults_of_rows(rows: Sequence[Measurement]) -> Iterator[str]:
    """What is wrong with rows, each fault with the row's id (rules 2, 3, 5 and 6)."""
    for name, count in Counter(row.id for row in rows).items():
        if count > 1:
            yield f"{name}: stands {count} times"
    for row in rows:
        for fault in faults_of_row(row):
            yield f"{row.id}: {fault}"


def faults_of_row(row: Measurement) -> Iterator[str]:
    """What is wrong with a row (rules 2, 3 and 5)."""
    names = (row.id, row.network, row.family, row.sitting)
    if any(len(name) > _MOST_CHARACTERS for name in names):
        yield f"has a name of more than {_MOST_CHARACTERS} characters"
    elif not all(name.isprintable() for name in names):
        yield "its names have control characters"
    if row.granularity not in GRANULARITIES:
        yield f"has the granularity {row.granularity!r:.40}"
    if not is_time(row.latency_ms) or not is_time(row.reference_ms):
        yield f"its latency is {row.latency_ms} ms, that of the reference {row.reference_ms} ms"
    unknown = row.runs == 0
    for name, time_ms in (("minimum", row.min_ms), ("median", row.median_ms), ("90th percentile", row.p90_ms)):
        if not (is_time(time_ms) or (unknown and math.isnan(time_ms))):
            yield f"its {name} is {time_ms} ms"
    if not unknown and not row.min_ms <= row.median_ms <= row.p90_ms:
        yield "minimum, median and 90th percentile are out of order"
    if not all(0 <= time_ms < LONGEST_MS for time_ms in (*row.half_ms, *row.kernel_ms)):
        yield "the time of a half or of a kernel is negative or not finite"
    if any(spread < 0 for spread in row.kernel_spread):
        yield "the spread of a kernel is negative"
    counts = (row.runs, row.kernel_runs, row.threads - 1, row.batch - 1)
    if not all(0 <= count <= _MOST_COUNT for count in counts):
        yield f"{row.runs} and {row.kernel_runs} runs on {row.threads} threads with batch {row.batch}"
    if not row.kernels:
        yield "no kernels"
    if len(row.kernel_ms) not in (0, len(row.kernels)) or len(row.kernel_spread) != len(row.kernel_ms):
        yield f"{len(row.kernel_ms)} times and {len(row.kernel_spread)} spreads of {len(row.kernels)} kernels"
    if (row.kernel_runs > 0) != bool(row.kernel_ms):
        yield f"{row.kernel_runs} profiled runs with {len(row.kernel_ms)} times of kernels"


def read_signature(text: str) -> KernelSignature:
    """A signature from its text (rule 4).

    Raises:
        ValueError: it is none.
    """
    try:
        parts = json.loads(text)
    except RecursionError:
        raise ValueError("a kernel is nested too deep") from None
    if not isinstance(parts, list) or len(parts) != 7 or not _is_signature(*parts):
        raise ValueError(f"a kernel is {text:.80}")
    signature = KernelSignature.from_json(text)
    try:
        features = kernel_features(signature)
    except (ValueError, TypeError, LookupError, ArithmeticError):  # of sizes and attributes that its operator has not
        raise ValueError(f"a kernel is not what its operator takes: {text:.80}") from None
    if not all(map(math.isfinite, features.values)):
        raise ValueError(f"a kernel has no size: {text:.80}")
    return signature


def _is_signature(kind: Any, op: Any, domain: Any, inputs: Any, constants: Any, outputs: Any, attributes: Any) -> bool:
    return (
        all(isinstance(word, str) and word.isprintable() for word in (kind, op, domain))
        and all(isinstance(part, list) for part in (inputs, constants, outputs))
        and all(kind is None or _is_type(kind) for kind in inputs)
        and all(isinstance(constant, int) for constant in constants)
        and len(constants) == len(inputs)
        and all(map(_is_type, outputs))
        and isinstance(attributes, dict)
        and all(_is_attribute(value) for value in attributes.values())
    )


def _is_type(kind: Any) -> bool:
    return (
        isinstance(kind, list)
        and 0 < len(kind) <= MAX_RANK + 1
        and isinstance(kind[0], str)
        and kind[0] in CODE_OF_DTYPE
        and all(isinstance(size, int) and 0 <= size <= MAX_ELEMENTS for size in kind[1:])
    )


def _is_attribute(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_word, value))
    return value is None or _is_word(value)


def _is_word(value: Any) -> bool:
    return isinstance(value, str | bool) or is_number(value)


def split_outliers(rows: Sequence[Measurement]) -> tuple[list[Measurement], list[Measurement]]:
    """Rows that can be what they say, and those whose time no machine took for their kernels (rule 8)."""
    if len(rows) < _FEWEST:
        return list(rows), []
    logs = [math.log(row.latency_ms / _plain_ms(row)) for row in rows]
    references = [math.log(row.reference_ms) for row in rows]
    far = [
        one or other or _is_more_than_whole(row)
        for row, one, other in zip(rows, _far(logs, _ABSURD), _far(references, _OTHER_REFERENCE), strict=True)
    ]
    return (
        [row for row, is_far in zip(rows, far, strict=True) if not is_far],
        [row for row, is_far in zip(rows, far, strict=True) if is_far],
    )


def _far(logs: Sequence[float], factor: float) -> list[bool]:
    usual = median(logs)
    return [abs(value - usual) > math.log(factor) for value in logs]


def _is_more_than_whole(row: Measurement) -> bool:
    return sum(row.kernel_ms) > _MORE_THAN_WHOLE * row.latency_ms + _PROFILER_MS * len(row.kernel_ms)


def _plain_ms(row: Measurement) -> float:
    counts: Mapping[KernelSignature, int] = Counter(row.kernels)
    return sum(count * _plain_kernel_ms(kernel) for kernel, count in counts.items())


@lru_cache(maxsize=65536)
def _plain_kernel_ms(kernel: KernelSignature) -> float:
    cost = signature_cost(kernel)
    return _START_MS + max(cost.flops / _OPERATIONS, (cost.bytes_read + cost.bytes_written) / _BYTES)
