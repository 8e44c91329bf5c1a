"""Fuzz target: any bytes as one file of a device pack, whose manifest has their hash, through loading and pricing.

Run by `fuzz_run.py`; see `fuzz_reader.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

with atheris.instrument_imports(include=["nnmeter"]):
    from fuzz_mutations import mutate_part
    from fuzz_seeds import PARTS, models, write_pack

    import nnmeter.fusion.detect
    import nnmeter.predictor.kernel_predictor
    import nnmeter.report.pack_json
    import nnmeter.report.pack_table  # noqa: F401 - these are imported when used, which would be too late to look into
    from nnmeter.api import load_model
    from nnmeter.devices.manifest import MANIFEST, write_manifest
    from nnmeter.devices.pack import read_pack
    from nnmeter.errors import NnmeterError
    from nnmeter.prediction.predict import LatencyPredictor
    from nnmeter.report.registry import CORE, Layout

_LAYOUT = Layout(False, 100)


def main() -> None:
    """Hand over to libFuzzer."""
    graphs = [load_model(data, {"n": 1}) for data in list(models())[:2]]
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as directory:
        pack = write_pack(Path(directory))
        whole = {name: (pack / name).read_bytes() for name in PARTS}

        def run(data: bytes) -> None:
            part = PARTS[data[0] % len(PARTS)] if data else MANIFEST
            for name, content in whole.items():
                (pack / name).write_bytes(content)
            (pack / part).write_bytes(data[1:])
            try:
                if part != MANIFEST:
                    (pack / MANIFEST).unlink()
                    write_manifest(pack)
                loaded = read_pack(pack)
                predictor = LatencyPredictor(loaded)
                for graph in graphs:
                    prediction = predictor.predict(graph)
                    low, high = prediction.interval_ms
                    if not 0 <= low <= prediction.latency_ms <= high < float("inf"):
                        raise RuntimeError(f"a price that is none: {prediction.latency_ms} {prediction.interval_ms}")
                CORE.render("pack", loaded, "table", _LAYOUT)
                CORE.render("pack", loaded, "json", _LAYOUT)
            except NnmeterError:
                return

        atheris.Setup(
            sys.argv,
            run,
            custom_mutator=lambda data, most, seed: mutate_part(
                data, most, seed, atheris.Mutate, PARTS.index("trees.npz")
            ),
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
