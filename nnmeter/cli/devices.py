"""`nnmeter devices`, with `show`, `refresh`, and `add`, `update`, `remove`, `export` of packs that are shared."""

from __future__ import annotations

from pathlib import Path

import click

from nnmeter.cli import options
from nnmeter.cli.output import layout_for, write_report
from nnmeter.report.registry import CORE


@click.group("devices", invoke_without_command=True)
@click.option("--search", metavar="TEXT",
              help="Only packs of this device, chip or board, by any of its names ('pixel 4', jetson, rk3588, "
                   "'rtx 4090'); where there is none, its nearest relatives.")  # fmt: skip
@options.output_format(*CORE.formats("devices"))
@options.output_file
@click.pass_context
def command(context: click.Context, search: str | None, report_format: str, output: Path | None) -> None:
    """List the device packs by kind, find one, show one, move one to the present fusion rules, or share them."""
    if context.invoked_subcommand is not None:
        return
    if search is not None:
        _find(search, report_format, output)
        return
    from nnmeter.devices import list_devices, nearest_device
    from nnmeter.devices.catalog import damaged_devices, in_groups
    from nnmeter.devices.identity import match_this_machine
    from nnmeter.devices.nearest import is_candidate
    from nnmeter.report.devices import DeviceList

    devices = in_groups(list_devices(public=True))
    near = [device for device in devices if is_candidate(device.card)]
    nearest = nearest_device(near)[0].id if near else None
    notice = "; ".join(f"left out: {fault}" for fault in damaged_devices().values())
    machines = {device.id: match_this_machine(device.card) for device in devices}
    listed = DeviceList(devices, nearest, machines)
    write_report(CORE.render("devices", listed, report_format, layout_for(output)), output, notice)


def _find(search: str, report_format: str, output: Path | None) -> None:
    from nnmeter.devices import list_devices
    from nnmeter.devices.catalog import damaged_devices
    from nnmeter.devices.search import find_packs
    from nnmeter.devices.unshipped import Unshipped, unshipped_devices
    from nnmeter.errors import DeviceError

    if not search.strip():
        raise click.UsageError("--search needs a name, such as 'pixel 4', jetson or rk3588")
    faults = list(damaged_devices().values())
    without_pack: list[Unshipped] = []
    try:
        without_pack = unshipped_devices()
    except DeviceError as fault:
        faults.append(fault)
    result = find_packs(search, list_devices(public=True), without_pack)
    notice = "; ".join(f"left out: {fault}" for fault in faults)
    write_report(CORE.render("found", result, report_format, layout_for(output)), output, notice)


@command.command("show")
@click.argument("device", metavar="ID_OR_PATH")
@options.output_format(*CORE.formats("pack"))
@options.output_file
def show(device: str, report_format: str, output: Path | None) -> None:
    """Show the card and the scorecard of a device pack."""
    from nnmeter.devices import load_pack

    write_report(CORE.render("pack", load_pack(device), report_format, layout_for(output)), output)


@command.command("refresh")
@click.argument("device", metavar="PACK")
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--out", "directory", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Directory for the refreshed pack. Default: it takes the pack's place.")  # fmt: skip
@click.option("--before", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Fusion rules to compare with. Default: those of the pack.")  # fmt: skip
@options.dims_and_shapes
@options.output_format(*CORE.formats("refresh"))
@options.output_file
def refresh(
    device: str,
    models: tuple[str, ...],
    directory: Path | None,
    before: Path | None,
    dims: dict[str, int],
    shapes: dict[str, tuple[int, ...]],
    report_format: str,
    output: Path | None,
) -> None:
    """Move a pack to the present fusion rules of its runtime, and say what that changes.

    Kernels, the share of trained prices and predictions are shown for each MODEL, or for the models that ship.
    """
    from nnmeter.cli.progress import StatusLine
    from nnmeter.devices import load_pack
    from nnmeter.devices.catalog import shipped_models
    from nnmeter.prediction.refresh import refresh_pack

    paths, _ = options.expand_models(models or tuple(map(str, shipped_models())))
    if not paths:
        raise click.UsageError("no models are here to show what changes; name some")
    with StatusLine() as status:
        _, found = refresh_pack(
            load_pack(device),
            paths,
            directory,
            before,
            dims,
            shapes,
            progress=lambda done, total: status.show_bar("predicting", done, total),
        )
    write_report(CORE.render("refresh", found, report_format, layout_for(output)), output)


@command.command("add")
@click.argument("source", metavar="URL_OR_PATH")
@click.argument("packs", nargs=-1, metavar="[PACK[@VERSION]]...")
@click.option("--sha256", metavar="HASH", help="Hash that the pack must have, as `nnmeter devices export` told it.")
@click.option("--replace", is_flag=True, help="Replace a pack of the same id that is there and is another.")
@click.option("--insecure", is_flag=True, help="Accept http, which anybody on the way can read and change.")
@options.output_format(*CORE.formats("exchange"))
@options.output_file
def add(
    source: str,
    packs: tuple[str, ...],
    sha256: str | None,
    replace: bool,
    insecure: bool,
    report_format: str,
    output: Path | None,
) -> None:
    """Add a pack from a folder, an archive (.zip) or a registry, here or on the web.

    Of a registry name the packs: an id, an id with a version, or a pattern such as 'epyc*'. Nothing of a pack is
    executed. Packs go to the first folder of NNMETER_PACKS, else to ~/.local/share/nnmeter/packs.
    """
    from nnmeter.devices.registry.index import is_hash
    from nnmeter.devices.registry.installing import add_packs

    if sha256 is not None and not is_hash(sha256.lower()):
        raise click.UsageError("--sha256 needs the 64 hexadecimal digits of a pack's hash")
    done = add_packs(source, packs, insecure=insecure, replace=replace, sha256=sha256)
    write_report(CORE.render("exchange", done, report_format, layout_for(output)), output)


@command.command("update")
@click.argument("packs", nargs=-1, metavar="[PACK]...")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@click.option("--replace", is_flag=True, help="Overwrite packs that were changed here since they were added.")
@options.output_format(*CORE.formats("exchange"))
@options.output_file
def update(packs: tuple[str, ...], dry_run: bool, replace: bool, report_format: str, output: Path | None) -> None:
    """Update packs from where they were added from, and say what that changes; without PACK all of them."""
    from nnmeter.cli.failures import CheckFailed
    from nnmeter.devices.registry.exchange import FAILED
    from nnmeter.devices.registry.installing import update_packs

    done = update_packs(packs, only_ask=dry_run, replace=replace)
    write_report(CORE.render("exchange", done, report_format, layout_for(output)), output)
    failed = [item.id for item in done if item.action == FAILED]
    if failed:
        raise CheckFailed(f"{len(failed)} of {len(done)} packs could not be updated: {', '.join(failed)}")


@command.command("remove")
@click.argument("packs", nargs=-1, required=True, metavar="PACK...")
@options.output_format(*CORE.formats("exchange"))
@options.output_file
def remove(packs: tuple[str, ...], report_format: str, output: Path | None) -> None:
    """Remove packs from the folder that packs are added to; those that ship stay."""
    from nnmeter.devices.registry.installing import remove_packs

    write_report(CORE.render("exchange", remove_packs(packs), report_format, layout_for(output)), output)


@command.command("export")
@click.argument("packs", nargs=-1, required=True, metavar="PACK...")
@click.option("--to", "target", required=True, metavar="DIR_OR_ZIP",
              help="Folder of a registry, made where it is missing; or, for one pack, an archive (.zip).")  # fmt: skip
@options.output_format(*CORE.formats("exchange"))
@options.output_file
def export(packs: tuple[str, ...], target: str, report_format: str, output: Path | None) -> None:
    """Write packs for others: to a registry, as new versions, or to one archive."""
    from nnmeter.devices.registry.exporting import export_packs

    write_report(CORE.render("exchange", export_packs(packs, target), report_format, layout_for(output)), output)
