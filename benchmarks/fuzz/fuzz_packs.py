"""Fuzz target: any bytes as one file of a device pack, whose manifest has their hash, through loading and pricing.

Run by `fuzz_run.py`. Whatever is raised that is no `NnmeterError` is a find; so is more than the time and memory that
libFuzzer is told to allow.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

with atheris.instrument_imports(include=["nnmeter"]):
    from fuzz_mutations import mutate_part
    from fuzz_seeds import PARTS
    from fuzz_targets import pack_target


def main() -> None:
    """Hand over to libFuzzer."""
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as directory:
        target = pack_target(Path(directory))
        atheris.Setup(
            sys.argv,
            lambda data: target(data) and None,
            custom_mutator=lambda data, most, seed: mutate_part(
                data, most, seed, atheris.Mutate, PARTS.index("trees.npz")
            ),
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
