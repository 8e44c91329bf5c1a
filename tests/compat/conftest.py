"""The distribution of nn-Meter's interface is not installed with nnmeter: its folder is put on the path."""

from __future__ import annotations

import sys

from tests.conftest import REPOSITORY

PLACE = str(REPOSITORY / "compat" / "nn_meter")
if PLACE not in sys.path:
    sys.path.insert(0, PLACE)
