"""What was found out about a device's fusion rules, for a person at a terminal."""

from __future__ import annotations
