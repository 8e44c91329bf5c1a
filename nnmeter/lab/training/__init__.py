"""From measurements to a device pack."""
