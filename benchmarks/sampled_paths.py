"""Records in a pack which code paths its training sampled, from the measurements that it was trained on.

    python benchmarks/sampled_paths.py predictors/DEVICE data/DEVICE/campaign.parquet [MEASUREMENTS ...]

Only predictor.json changes (`paths`), and the manifest. `nnmeter train` does this by itself; packs that were trained
before code paths were known need it once.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from nnmeter.devices import load_pack
from nnmeter.devices.manifest import write_manifest
from nnmeter.lab.measuring.store import read_measurements
from nnmeter.lab.training.paths import with_sampled_paths


@click.command()
@click.argument("pack", type=click.Path(path_type=Path, exists=True))
@click.argument("measurements", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
def main(pack: Path, measurements: tuple[Path, ...]) -> None:
    """Write the sampled code paths into PACK."""
    kernels = [kernel for path in measurements for row in read_measurements(path)[0] for kernel in row.kernels]
    predictor = with_sampled_paths(load_pack(pack).predictor, kernels)
    paths: dict[str, dict[str, list[str]]] = {}
    for kind, sampled in predictor.vocabulary.items():
        paths.setdefault(str(kind.anchor), {})[kind.family] = sorted(sampled.paths or ())
    file = pack / "predictor.json"
    document = json.loads(file.read_text())
    document["paths"] = paths
    file.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
    write_manifest(pack)
    load_pack(pack)
    unusual = sorted({f"{name}: {path}" for name, of in paths.items() for all_ in of.values() for path in all_ if path})
    click.echo("\n".join(unusual))


if __name__ == "__main__":
    main()
