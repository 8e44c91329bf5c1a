"""`nnmeter devices` and `nnmeter devices show`."""

from __future__ import annotations

from pathlib import Path

import click

from nnmeter.cli import options
from nnmeter.cli.output import layout_for, write_report


@click.group("devices", invoke_without_command=True)
@options.output_format("table", "json")
@options.output_file
@click.pass_context
def command(context: click.Context, report_format: str, output: Path | None) -> None:
    """List the device packs that can be found by kind, or show the card and scorecard of one."""
    if context.invoked_subcommand is not None:
        return
    from nnmeter.devices import list_devices, nearest_device
    from nnmeter.devices.catalog import damaged_devices, in_groups
    from nnmeter.devices.identity import match_this_machine
    from nnmeter.devices.nearest import is_candidate
    from nnmeter.report.devices import render_list

    devices = in_groups(list_devices())
    near = [device for device in devices if is_candidate(device.card)]
    nearest = nearest_device(near)[0].id if near else None
    notice = "; ".join(f"left out: {fault}" for fault in damaged_devices().values())
    machines = {device.id: match_this_machine(device.card) for device in devices}
    write_report(render_list(devices, report_format, layout_for(output), nearest, machines), output, notice)


@command.command("show")
@click.argument("device", metavar="ID_OR_PATH")
@options.output_format("table", "json")
@options.output_file
def show(device: str, report_format: str, output: Path | None) -> None:
    """Show the card and the scorecard of a device pack."""
    from nnmeter.devices import load_pack
    from nnmeter.report.devices import render_pack

    write_report(render_pack(load_pack(device), report_format, layout_for(output)), output)
