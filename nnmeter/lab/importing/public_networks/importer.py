"""Importing tables of published latencies: `nnmeter import public-networks`.

Rules:

1. A row is imported where its network is named, its architecture ships (`graphs`), and its time, batch and input are
   what they must be; else it is refused with a reason. Every row is counted, once.
2. Rows of one setting (`tables`, rule 1) are of one device, whose fusion rules are those of its runtime (`runtimes`).
   The quantity that was measured is part of its name and of its fingerprint.
3. A measurement is whole: all kernels of one inference of the row's batch, and its milliseconds. Rows that repeat a
   network are measurements of their own, so that their differences tell the noise.
4. What cannot be told from the name of a network is not guessed: the graphs refuse names of several architectures.
   What a source says beside its table is taken from `stated_inputs`, what an entry point of timm is from `timm_names`;
   a network keeps its canonical name, so that variants of one architecture are left out together. An entry point whose
   own graph does not ship is taken by its canonical name, which has the same layers but for their padding.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from nnmeter.errors import ModelError
from nnmeter.fusion.ruleset_index import rule_sets
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.lab.importing.detection import Detection
from nnmeter.lab.importing.public_networks.batches import FIRST, SECOND, are_alike, at_batch
from nnmeter.lab.importing.public_networks.graphs import input_sizes, load
from nnmeter.lab.importing.public_networks.runtimes import TYPES, fusion_of
from nnmeter.lab.importing.public_networks.sources import device_words, repository_of
from nnmeter.lab.importing.public_networks.stated_inputs import stated_input
from nnmeter.lab.importing.public_networks.tables import Row, RowFault, read_table, table_files
from nnmeter.lab.importing.public_networks.timm_names import architecture_of
from nnmeter.lab.importing.published import Imported, PublishedDevice, Source, published_measurement

SOURCE = Source(
    name="public-networks",
    title="Published latencies of known networks",
    url="docs/importing.md lists the repositories",
    license="as the source of each row has it",
    year=2025,
)
_TIMM = "timm"  # the table whose networks ran in PyTorch by their entry points
_UNCERTAIN = "the source does not tell for certain which network it is"
_FAMILY = re.compile(r"[a-z]+(?:_v\d)?")
_PREFIXES = re.compile(r"^(ncnn:|tf_|gluon_|legacy_|test_)")

Progress = Callable[[str, int], None]
Kernels = tuple[KernelSignature, ...]


def devices(source: Path | Sequence[Path]) -> Sequence[PublishedDevice]:
    """The devices of the tables: one for each setting, in their order."""
    found: dict[str, PublishedDevice] = {}
    for path in table_files(source):
        for setting, row, _ in read_table(path):
            if setting.id not in found and isinstance(row, Row):
                found[setting.id] = _device(row)
    return list(found.values())


def _device(row: Row) -> PublishedDevice:
    setting = row.setting
    fusion = fusion_of(setting.runtime)
    precision, parameter = TYPES.get(setting.precision, ("float32", ""))
    known = rule_sets()[fusion.rules].parameters
    place, kind = device_words(row.kind)
    published = repository_of(row.source, row.reference)
    return PublishedDevice(
        name=setting.id,
        hardware=row.chip,
        kind=kind,
        runtime=re.sub(r"[^A-Za-z0-9._-]+", "-", setting.runtime) or "unknown",
        version=setting.version or "unknown",
        rules=fusion.rules,
        threads=int(setting.threads) if setting.threads.isdigit() and int(setting.threads) else 1,
        precision=precision,
        parameters={**fusion.parameters, **({parameter: True} if parameter in known else {})},
        facts={
            "place": place,
            "threads_stated": setting.threads.isdigit(),
            "quantity": setting.quantity,
            "table": {
                "source": row.source,
                "device": setting.device,
                "runtime": setting.runtime,
                "runtime_version": setting.version,
                "precision": setting.precision,
                "threads": setting.threads,
                "kind": row.kind,
            },
            "fusion": {"known": fusion.known, "source": fusion.source, "reason": fusion.reason},
            "date": f"{published.year} (published)" if published.year else "unknown",
            "published": {
                "name": f"{SOURCE.name}: {row.source}",
                "title": f"the table {row.source}",
                "url": published.url,
                "license": published.license,
            },
            "pitfalls": [*published.limits, *(published.cpu_limits if kind == "cpu" else ())],
        },
    )


class NetworkKernels:
    """The kernels of networks under the rules of several devices, each detected once (see `batches`).

    A network is bound once for all the rules that it is wanted under.

    Args:
        wanted: the rows whose kernels will be asked for, with the name of their device.
        detection: the rules of these devices.
    """

    def __init__(self, wanted: Iterable[tuple[str, Row]], detection: Detection) -> None:
        self._detection = detection
        self._wanted: defaultdict[tuple[str, tuple[int, ...]], set[int]] = defaultdict(set)
        for device, row in wanted:
            network, shape = _architecture(row)
            for own in _detected_shapes(shape):
                self._wanted[network, own].add(detection.place(device))
        self._known: dict[tuple[str, tuple[int, ...], int], Kernels | str] = {}

    def of(self, row: Row, device: str) -> Kernels:
        """The kernels of a row's network on a device.

        Raises:
            RowFault: the network cannot be rebuilt, or has no such input.
        """
        network, shape = _architecture(row)
        place = self._detection.place(device)
        shapes = _detected_shapes(shape)
        if len(shapes) > 1:
            first, second = (self._at(network, own, place) for own in shapes)
            if are_alike(first, second):
                key = (network, shape, place)
                if key not in self._known:
                    self._known[key] = tuple(map(self._detection.intern, at_batch(first, second, shape[0])))
        return self._at(network, shape, place)

    def _at(self, network: str, shape: tuple[int, ...], place: int) -> Kernels:
        key = (network, shape, place)
        if key not in self._known:
            places = self._wanted[network, shape] | {place}
            for other, kernels in self._detect(network, shape, places).items():
                self._known[network, shape, other] = kernels
        found = self._known[key]
        if isinstance(found, str):
            raise RowFault(found)
        return found

    def _detect(self, network: str, shape: tuple[int, ...], places: set[int]) -> dict[int, Kernels] | dict[int, str]:
        try:
            graph = load(network, shape or None)
        except ModelError as fault:
            reason = f"the network cannot be rebuilt: {str(fault).removeprefix(network + ': ')}"
            return dict.fromkeys(places, reason)
        return self._detection.kernels_at(graph, places)


def _detected_shapes(shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """The shapes at which kernels are detected to tell those at `shape`."""
    if shape and shape[0] > SECOND:
        return ((FIRST, *shape[1:]), (SECOND, *shape[1:]))
    return (shape,)


def import_measurements(
    source: Path | Sequence[Path],
    chosen: Sequence[PublishedDevice],
    detection: Detection,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Imported:
    """Import tables.

    Args:
        source: directories of tables, or tables.
        chosen: devices to import.
        detection: their fusion rules.
        limit: most rows of a table.
        progress: told the table and how many of its rows are done.

    Raises:
        MeasurementError: there is nothing to read.
    """
    wanted = {device.name: device for device in chosen}
    fingerprints = {name: d.fingerprint(SOURCE, *detection.fingerprint_fields(name)) for name, d in wanted.items()}
    imported = Imported(SOURCE, fingerprints=fingerprints)
    lines = {path: list(read_table(path, limit)) for path in table_files(source)}
    rows = [(setting.id, row) for own in lines.values() for setting, row, _ in own if isinstance(row, Row)]
    kernels = NetworkKernels([(device, row) for device, row in rows if device in wanted and row.network], detection)
    lost: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for path, own in lines.items():
        for number, (setting, row, called) in enumerate(own):
            if progress:
                progress(path.name, number)
            device = wanted.get(setting.id)
            if device is not None:
                _import_row(imported, device, row, called, kernels)
            elif isinstance(row, RowFault):
                lost[setting.id][str(row)] += 1
    for device_id in lost.keys() - {device for device, _ in rows}:  # none of their rows is whole
        for reason, count in lost[device_id].items():
            imported.passed_over[device_id or "no device"] = f"{count} rows: {reason}"
    return imported


def _import_row(
    imported: Imported, device: PublishedDevice, row: Row | RowFault, called: str, kernels: NetworkKernels
) -> None:
    if isinstance(row, RowFault):
        imported.refuse(device.name, str(row), called)
        return
    if not row.network:
        imported.refuse(device.name, _UNCERTAIN, called)
        return
    try:
        found = kernels.of(row, device.name)
    except RowFault as fault:
        imported.refuse(device.name, str(fault), called)
        return
    id = f"model:{row.network}:{row.table}:{row.number}"
    imported.accept(
        device.name,
        published_measurement(
            SOURCE, device, id, "model", row.network, family_of(row.network), found, row.latency_ms, batch=row.batch
        ),
    )


def _architecture(row: Row) -> tuple[str, tuple[int, ...]]:
    """The name under which `graphs` has what ran, and the shape of its input (rule 4)."""
    if row.shape:
        own = architecture_of(row.called, row.network) if row.source == _TIMM else row.network
        padded_alone = own.startswith("tf_") and row.shape[1:] not in input_sizes(own)
        return (row.network if padded_alone else own), row.shape
    stated = stated_input(row.source, row.called)
    return (row.network, ()) if stated is None else (stated.network, (row.batch, *stated.input_shape[1:]))


def family_of(network: str) -> str:
    """The architecture family of a canonical name: `mobilenet_v2_1.0_224` is of `mobilenet_v2`."""
    plain = _PREFIXES.sub("", network.lower())
    match = _FAMILY.match(plain)
    return match.group() if match else plain
