"""What a worker sent, checked before it counts."""

from __future__ import annotations

import tempfile
from pathlib import Path

from nnmeter.errors import MeasurementError
from nnmeter.lab.cluster.block_job import BlockJob, BlockResult
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.measuring.store import read_measurements


def received_rows(job: BlockJob, result: BlockResult) -> list[Measurement]:
    """The rows of a block, in the order of their seeds.

    Raises:
        MeasurementError: a file was damaged on its way, or rows and refusals are not those of the block's networks.
    """
    rows: list[Measurement] = []
    with tempfile.TemporaryDirectory(prefix="nnmeter-block-") as folder:
        for number, data in enumerate(result.parts):
            path = Path(folder) / f"{number}.parquet"
            path.write_bytes(data)
            rows += read_measurements(path)[0]
    found = sorted([*(seed_of(row) for row in rows), *result.refused])
    asked = [work.seed for work in job.works]
    if found != asked:
        missing = sorted(set(asked) - set(found))
        what = (
            f"without {len(missing)} of {len(asked)} networks, the first of seed {missing[0]}" if missing else "twice"
        )
        raise MeasurementError(f"sent the block of seeds {job.first} to {job.stop - 1} {what}; see the worker's log")
    return sorted(rows, key=seed_of)


def seed_of(row: Measurement) -> int:
    """The seed that a network is known by; -1 if it tells none."""
    number = row.network.rpartition("-")[2]
    return int(number) if number.isascii() and number.isdigit() else -1
