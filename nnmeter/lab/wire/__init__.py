"""Measuring by wire: devices that this machine reaches over ssh or adb, planned and kept here, timed there."""
