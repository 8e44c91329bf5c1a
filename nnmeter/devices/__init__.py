"""Device packs: the directories that hold all nnmeter knows of a device."""

from nnmeter.devices.card import Card
from nnmeter.devices.catalog import DeviceInfo, find_device, find_devices, list_devices, load_pack
from nnmeter.devices.nearest import nearest_device
from nnmeter.devices.pack import DevicePack, save_pack, save_scorecard

__all__ = [
    "Card",
    "DeviceInfo",
    "DevicePack",
    "find_device",
    "find_devices",
    "list_devices",
    "load_pack",
    "nearest_device",
    "save_pack",
    "save_scorecard",
]
