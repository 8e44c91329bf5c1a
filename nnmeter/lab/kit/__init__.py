"""Kits: folders of networks and a script, carried to a device that has a runtime's own program and no Python."""
