"""Making a kit: what `nnmeter kit` does.

| file | what it is |
|---|---|
| `run.sh`, `runtime.sh` | the script, and the commands of the runtime |
| `run-adb.sh` | the same on a phone, over adb |
| `plan.txt` | the rows in the order of measuring: number, kind, network, runs |
| `models/` | the networks, whose large weights are in one file that they share (`shared_weights`) |
| `kit.json` | what an importer must know of the networks |
| `threads`, `budget` | numbers that the script reads |
| `README.md` | what to do, on a page |

Rules:

1. Networks are measured in groups. In each the first pass profiles all of them, the second, in reverse, times them
   whole, so that slow drift meets every network; a reference product runs before each pass, in its middle and behind
   it. A budget that ends in the middle loses one group at most.
2. Behind all groups come more passes of whole times, which a fast device has the time for.
3. The real networks are a group of their own, in the middle: whatever the device, some of them are measured.
4. A kit is written beside its place and renamed, so that half a kit is never there.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from nnmeter._version import __version__
from nnmeter.errors import MeasurementError
from nnmeter.files import temporary_prefix
from nnmeter.graph.input_sizes import InputSizes
from nnmeter.lab.kit.networks import REFERENCE, KitNetwork, fill, random_networks, real_network, real_networks
from nnmeter.lab.kit.readme import readme_text
from nnmeter.lab.kit.runtimes import KitRuntime, runtime_of_kit
from nnmeter.lab.kit.shared_weights import FILE, SharedWeights
from nnmeter.lab.measuring.reference import reference_model

if TYPE_CHECKING:
    import onnx

    from nnmeter.lab.measuring.measurement import Measurement

SCHEMA_VERSION = 1
GROUP, EXTRA_PASSES = 12, 2
REFERENCE_RUNS = 20
MOST_NETWORKS = 5000
DEFAULT_MOST_MIB = 300
ROW_S = 300  # that the script gives one row
_LARGEST_WEIGHT = 48 << 20  # bytes of one tensor: what a region of the shared file holds
_SCRIPTS = Path(__file__).with_name("scripts")

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Kit:
    """What was made.

    Attributes:
        path: folder of the kit.
        networks: random ones.
        real: names of the real ones.
        rows: of the plan.
        bytes: of all its files.
    """

    path: Path
    networks: int
    real: tuple[str, ...]
    rows: int
    bytes: int


def make_kit(
    out: str | os.PathLike[str],
    runtime: str,
    budget_s: float,
    *,
    threads: int = 1,
    seed: int = 0,
    models: Sequence[str | os.PathLike[str]] | None = None,
    after: Sequence[Measurement] = (),
    most_mib: int = DEFAULT_MOST_MIB,
    progress: Progress | None = None,
) -> Kit:
    """Make a folder to carry to a device (rules 1 to 4).

    Args:
        out: the folder; it must not be there.
        runtime: name of the runtime.
        budget_s: seconds that the device has.
        threads: that execute one network.
        seed: first seed of a first kit.
        models: real networks; some that ship with nnmeter, where they are, if None.
        after: measurements of a first kit: what errs in them, and what they lack, comes more often.
        most_mib: MiB of weights and activations of one network.
        progress: told what is made, how many seconds of the budget it fills, and the budget.

    Raises:
        MeasurementError: there is something at `out`, the runtime has no kit, or the budget is too short.
        ModelError: a model cannot be read.
    """
    chosen = runtime_of_kit(runtime)
    if not 10 <= budget_s <= 7 * 86400:
        raise MeasurementError(f"a budget of {budget_s:.0f} s is none for a kit; give 10s to a week, such as 20m")

    def drawn(weights: SharedWeights) -> tuple[list[KitNetwork], list[KitNetwork]]:
        return _draw(weights, chosen, budget_s, seed, models, after, most_mib << 20, progress)

    return _make(Path(out), chosen, budget_s, threads, seed, drawn, plan_rows)


def make_kit_of_models(
    out: str | os.PathLike[str],
    runtime: str,
    models: Mapping[str, str | os.PathLike[str]],
    sizes: InputSizes,
    passes: int,
    seconds_per_pass: float,
    *,
    threads: int = 1,
) -> Kit:
    """Make a kit of models alone, each profiled once and timed in so many passes.

    Args:
        out: the folder; it must not be there.
        runtime: name of the runtime.
        models: files by the names that the kit has for them.
        sizes: of free dimensions.
        passes: that time all models.
        seconds_per_pass: for one model in one pass, on a plain machine: how fast the device is nobody knows before.
        threads: that execute one model.

    Raises:
        MeasurementError: there is something at `out`, or the runtime has no kit.
        ModelError: a model cannot be read.
    """

    def given(weights: SharedWeights) -> tuple[list[KitNetwork], list[KitNetwork]]:
        real = []
        for name, path in models.items():
            network = real_network(name, path, sizes, seconds_per_pass)
            real.append(replace(network, model=weights.take(network.model)))
        return [], real

    def rows(random: Sequence[KitNetwork], real: Sequence[KitNetwork]) -> Iterator[tuple[str, str, int]]:
        yield from _pass("profile", real)
        for number in range(passes):
            yield from _pass("time", real[:: 1 if number % 2 else -1])

    budget_s = float(ROW_S * (passes + 1) * (len(models) + 3))  # the longest that its rows may take
    return _make(Path(out), runtime_of_kit(runtime), budget_s, threads, 0, given, rows)


def _make(
    place: Path,
    runtime: KitRuntime,
    budget_s: float,
    threads: int,
    seed: int,
    networks: Callable[[SharedWeights], tuple[list[KitNetwork], list[KitNetwork]]],
    rows: Callable[[Sequence[KitNetwork], Sequence[KitNetwork]], Iterable[tuple[str, str, int]]],
) -> Kit:
    """Writes a kit of random and real networks (rule 4)."""
    if place.exists():
        raise MeasurementError(f"{place}: is there already; give another folder for the kit")
    place.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=temporary_prefix(place), dir=place.parent))
    try:
        weights = SharedWeights(_LARGEST_WEIGHT)
        random, real = networks(weights)
        weights.place()
        planned = list(rows(random, real))
        size = _write(made, runtime, budget_s, threads, seed, random, real, weights, planned)
        made.chmod(0o755)
        os.replace(made, place)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    return Kit(place, len(random), tuple(network.name for network in real), len(planned), size)


def _draw(
    weights: SharedWeights,
    runtime: KitRuntime,
    budget_s: float,
    seed: int,
    models: Sequence[str | os.PathLike[str]] | None,
    after: Sequence[Measurement],
    most_bytes: int,
    progress: Progress | None,
) -> tuple[list[KitNetwork], list[KitNetwork]]:
    """Random and real networks that fill a budget, their weights taken."""
    real = [
        replace(network, model=weights.take(network.model))
        for network in real_networks(_shipped() if models is None else models, most_bytes)
        if weights.fits(network.model) or models is not None
    ]
    left_s = budget_s - sum(network.seconds for network in real)
    drawn = random_networks(seed, not runtime.profiled, most_bytes, after)
    taken = {network.name for network in real}
    fitting = (network for network in drawn if weights.fits(network.model) and network.name not in taken)
    random: list[KitNetwork] = []
    filled_s = 0.0
    for network in fill(fitting, max(left_s, 1.0), MOST_NETWORKS):
        random.append(replace(network, model=weights.take(network.model)))
        filled_s += network.seconds
        if progress is not None:
            progress(network.name, min(int(filled_s), int(budget_s)), int(budget_s))
    return random, real


def _write(
    made: Path,
    runtime: KitRuntime,
    budget_s: float,
    threads: int,
    seed: int,
    random: Sequence[KitNetwork],
    real: Sequence[KitNetwork],
    weights: SharedWeights,
    rows: Sequence[tuple[str, str, int]],
) -> int:
    """Writes all files of a kit; their bytes."""
    import onnx

    folder = made / "models"
    folder.mkdir()
    for network in (*random, *real):
        (folder / f"{network.name}.onnx").write_bytes(network.model.SerializeToString())
        if runtime.typed_inputs:
            _describe_inputs(folder, network.name, network.model)
    (folder / f"{REFERENCE}.onnx").write_bytes(reference_model())
    if runtime.typed_inputs:
        _describe_inputs(folder, REFERENCE, onnx.ModelProto.FromString(reference_model()))
    with open(folder / FILE, "wb") as stream:
        for chunk in weights.chunks(seed):
            stream.write(chunk)
    lines = (f"{number} {kind} {network} {runs}" for number, (kind, network, runs) in enumerate(rows, start=1))
    (made / "plan.txt").write_text("\n".join(lines) + "\n", encoding="ascii", newline="\n")
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "kit": f"nnmeter {__version__}",
        "runtime": runtime.name,
        "threads": threads,
        "budget_s": budget_s,
        "seed": seed,
        "rows": len(rows),
        "networks": {network.name: network.family for network in (*random, *real)},
    }
    (made / "kit.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    (made / "threads").write_text(f"{threads}\n")
    (made / "budget").write_text(f"{int(budget_s)}\n")
    _copy_scripts(made, runtime)
    size = sum(file.stat().st_size for file in made.rglob("*") if file.is_file())
    text = readme_text(runtime, budget_s, len(random), [network.name for network in real], size)
    (made / "README.md").write_text(text, encoding="utf-8", newline="\n")
    return size


def plan_rows(random: Sequence[KitNetwork], real: Sequence[KitNetwork]) -> Iterator[tuple[str, str, int]]:
    """Kind, network and runs of every row, in the order of measuring (rules 1 to 3)."""
    groups = [list(random[start : start + GROUP]) for start in range(0, len(random), GROUP)]
    if real:
        groups.insert((len(groups) + 1) // 2, list(real))
    for group in groups:
        yield from _pass("profile", group)
        yield from _pass("time", group[::-1])
    for number in range(EXTRA_PASSES):
        for group in groups[:: 1 if number % 2 else -1]:
            yield from _pass("time", group)


def _pass(kind: str, group: Sequence[KitNetwork]) -> Iterator[tuple[str, str, int]]:
    middle = len(group) // 2
    for place, network in enumerate(group):
        if place in (0, middle):
            yield "time", REFERENCE, REFERENCE_RUNS
        yield kind, network.name, network.runs
    yield "time", REFERENCE, REFERENCE_RUNS


# Element type of ONNX -> OpenVINO's name.
_TYPE_NAMES = {1: "f32", 2: "u8", 3: "i8", 5: "i16", 6: "i32", 7: "i64", 9: "bool", 10: "f16", 11: "f64", 16: "bf16"}


def _describe_inputs(folder: Path, name: str, model: onnx.ModelProto) -> None:
    """What `benchmark_app` must be told of inputs: element types, and that no dimension of them is a batch.

    It makes images of bytes of inputs that look like them, and refuses models whose inputs seem to have other batches.
    """
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in stored]
    kinds = ((value.name, _TYPE_NAMES.get(value.type.tensor_type.elem_type)) for value in inputs)
    (folder / f"{name}.types").write_text(",".join(f"{name}:{kind}" for name, kind in kinds if kind))
    ranks = ((value.name, len(value.type.tensor_type.shape.dim)) for value in inputs)
    (folder / f"{name}.layouts").write_text(",".join(f"{name}[{'?' * rank}]" for name, rank in ranks if rank))


def _copy_scripts(made: Path, runtime: KitRuntime) -> None:
    names = {"run.sh": "run.sh", "run-adb.sh": "run-adb.sh", f"{runtime.name}.sh": "runtime.sh"}
    for source, target in names.items():
        shutil.copyfile(_SCRIPTS / source, made / target)
        if target.startswith("run") and target.endswith(".sh"):
            (made / target).chmod(0o755)


# Small networks of several kinds, of those in data/zoo.
_REAL = (
    "mobilenet_v3_small-224", "squeezenet1_1-224", "resnet18-224", "shufflenet_v2_x0_5-224", "bert-mini",
    "vit_tiny_patch16_224-224", "mnasnet0_5-224", "googlenet-224",
)  # fmt: skip


def _shipped() -> list[Path]:
    from nnmeter.devices.catalog import shipped_models

    found: Iterable[Path] = (folder / f"{name}.onnx" for folder in shipped_models() for name in _REAL)
    return list(islice((path for path in found if path.is_file()), len(_REAL)))
