"""What all devices of published tables say of a new one, in a file: `population.npz`, beside their packs.

Rules:

1. It holds arrays alone, and is read without running code: names are stored as their bytes.
2. It is of the sorts of work that this version knows (`nnmeter.predictor.work`); one of others is refused.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nnmeter.devices.catalog import public_directories
from nnmeter.errors import DeviceError
from nnmeter.files import read_limited, write_whole
from nnmeter.lab.training.population import COLUMNS, Matrix, Population

POPULATION = "population.npz"
_MOST_BYTES = 1 << 25
_NAMED = ("sorts", "engines", "hardware", "doubts")


def write_population(population: Population, path: Path) -> None:
    """Write what is known of no device in particular; single devices are in their packs."""
    named: dict[str, Mapping[str, Matrix]] = {name: getattr(population, name) for name in _NAMED}
    names = {
        "columns": list(COLUMNS),
        "noise": population.noise,
        "misfits": dict(population.misfits),
        **{k: list(v) for k, v in named.items()},
    }
    arrays = {
        "names": np.frombuffer(json.dumps(names).encode(), np.uint8),
        "covariance": population.covariance.astype(np.float32),
        "usual": population.usual.astype(np.float32),
        **{k: np.array(list(v.values()), np.float32).reshape(len(v), len(COLUMNS)) for k, v in named.items()},
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_whole(path, buffer.getvalue())


def read_population(path: Path) -> Population:
    """What `write_population` wrote.

    Raises:
        DeviceError: the file is not there, is damaged, or of another version.
    """
    try:
        with np.load(io.BytesIO(read_limited(path, _MOST_BYTES)), allow_pickle=False) as content:
            arrays = {name: np.asarray(content[name]) for name in ("names", "covariance", "usual", *_NAMED)}
        names = json.loads(arrays["names"].tobytes())
        if names["columns"] != list(COLUMNS):
            raise DeviceError(f"{path}: is of other sorts of work than this nnmeter's; make the public packs anew")
        named = {k: dict(zip(names[k], arrays[k].astype(float), strict=True)) for k in _NAMED}
        found = Population(
            arrays["covariance"].astype(float).reshape(len(COLUMNS), len(COLUMNS)),
            arrays["usual"].astype(float).reshape(len(COLUMNS)),
            named["sorts"],
            named["engines"],
            named["hardware"],
            {str(k): float(v) for k, v in names["misfits"].items()},
            float(names["noise"]),
            doubts=named["doubts"],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as fault:
        raise DeviceError(f"{path}: cannot be read ({fault!r:.100}); restore it from the repository") from fault
    return found


def shipped_population() -> Population:
    """The population that ships with the packs of published tables.

    Raises:
        DeviceError: it is not there, or damaged.
    """
    places = [place / POPULATION for place in public_directories()]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise DeviceError(f"{POPULATION}: is not among the packs that ship; reinstall nnmeter")
    return read_population(found)
