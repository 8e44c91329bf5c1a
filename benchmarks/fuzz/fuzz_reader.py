"""Fuzz target: any bytes as a model, through reading, binding, detection of kernels and pricing.

Run by `fuzz_run.py`. Whatever is raised that is no `NnmeterError` is a find; so is more than the time and memory that
libFuzzer is told to allow.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

with atheris.instrument_imports(include=["nnmeter"]):
    from fuzz_mutations import mutate_model
    from fuzz_targets import model_target


def main() -> None:
    """Hand over to libFuzzer."""
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as directory:
        target = model_target(Path(directory))
        atheris.Setup(
            sys.argv,
            lambda data: target(data) and None,
            custom_mutator=lambda data, most, seed: mutate_model(data, most, seed, atheris.Mutate),
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
