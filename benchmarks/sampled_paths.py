"""Which code paths were sampled, and which were not.

    python benchmarks/sampled_paths.py MEASUREMENTS [...]                         # what lacks
    python benchmarks/sampled_paths.py MEASUREMENTS [...] --pack predictors/DEVICE  # record it in a pack

1. A path is sampled where training counts it so (`nnmeter.lab.training.paths.LEAST_KERNELS` distinct kernels).
2. The paths that there are: those of kernels that detection foresees in networks that sweep operators (`--draws` of
   each recipe, nothing is run) and in the architectures of `data/zoo`, `data/zoo-quantized` and `--models`.
3. With `--pack`, only predictor.json changes (`paths`), and the manifest. `nnmeter train` does this by itself; packs
   that were trained before a path was known need it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from nnmeter.binding.bind import bind_shapes
from nnmeter.devices import load_pack
from nnmeter.devices.machine import this_machine
from nnmeter.devices.manifest import write_manifest
from nnmeter.errors import NnmeterError
from nnmeter.formats import read_model
from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.for_machine import rules_for_machine
from nnmeter.fusion.loading import load_rules
from nnmeter.kernels.features import kernel_features
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.kernels.paths import code_path
from nnmeter.lab.campaign.recipes import random_network
from nnmeter.lab.campaign.recipes.network import SWEEPING_FAMILIES
from nnmeter.lab.measuring.store import read_measurements
from nnmeter.lab.training.paths import LEAST_KERNELS, with_sampled_paths

DATA = Path(__file__).resolve().parent.parent / "data"
ARCHITECTURES = (DATA / "zoo", DATA / "zoo-quantized")
_FIRST_SEED = 5_000_000  # far from those of campaigns

Paths = dict[tuple[str, str], set[KernelSignature]]
"""Kind of kernel and path -> its distinct kernels."""


@click.command()
@click.argument("measurements", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--pack", type=click.Path(path_type=Path, exists=True), help="Record the sampled paths in this pack.")
@click.option("--models", type=click.Path(path_type=Path, exists=True), help="Folder of models whose paths count, too.")
@click.option(
    "--draws", default=100, show_default=True, help="Networks of each sweeping recipe that tell what there is."
)
def main(measurements: tuple[Path, ...], pack: Path | None, models: Path | None, draws: int) -> None:
    """Print the code paths that MEASUREMENTS lack, or record those that they have in a pack."""
    rows = [row for path in measurements for row in read_measurements(path)[0]]
    kernels = [kernel for row in rows for kernel in row.kernels]
    if pack is not None:
        record(pack, kernels)
        return
    sampled = by_path(kernels)
    real = by_path(kernels_of_models([*ARCHITECTURES, *([models] if models else [])]))
    swept = by_path(kernels_of_sweeps(draws))
    missing = 0
    for key in sorted(sampled.keys() | real.keys() | swept.keys()):
        count = len(sampled.get(key, ()))
        if count < LEAST_KERNELS:
            missing += 1
            kind, path = key
            told = f"{len(real.get(key, ()))} in real models, {len(swept.get(key, ()))} in sweeps"
            click.echo(f"{kind:<55} {path or 'usual':<45} {count} sampled, {told}")
    known = len(sampled.keys() | real.keys() | swept.keys())
    in_models = [key for key in real if len(sampled.get(key, ())) < LEAST_KERNELS]
    click.echo(f"{len(rows)} networks, {len(kernels)} kernels; {known} paths, {missing} of them with fewer than "
               f"{LEAST_KERNELS} kernels, {len(in_models)} of these in real models")  # fmt: skip


def by_path(kernels: Iterable[KernelSignature]) -> Paths:
    """Distinct kernels by kind and path."""
    found: Paths = defaultdict(set)
    for signature in dict.fromkeys(kernels):
        found[str(kernel_features(signature).kind), code_path(signature)].add(signature)
    return found


def kernels_of_models(folders: Iterable[Path]) -> Iterator[KernelSignature]:
    """Kernels that detection foresees in the models of folders."""
    rules = rules_for_machine(load_rules("onnxruntime_cpu"), this_machine().isa)
    for path in sorted(path for folder in folders for path in folder.glob("*.onnx")):
        try:
            for kernel in detect_kernels(bind_shapes(read_model(path)), rules):
                yield kernel.signature
        except NnmeterError as fault:
            click.echo(f"{path.name}: {fault}", err=True)


def kernels_of_sweeps(draws: int) -> Iterator[KernelSignature]:
    """Kernels that detection foresees in networks that sweep operators."""
    rules = rules_for_machine(load_rules("onnxruntime_cpu"), this_machine().isa)
    for family in SWEEPING_FAMILIES:
        for seed in range(_FIRST_SEED, _FIRST_SEED + draws):
            graph = bind_shapes(read_model(random_network(seed, family)))
            for kernel in detect_kernels(graph, rules):
                yield kernel.signature


def record(pack: Path, kernels: list[KernelSignature]) -> None:
    """Write the sampled code paths into a pack, and print the unusual ones."""
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
