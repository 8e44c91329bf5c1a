"""Fixtures that the tests of several packages of the lab share."""

from tests.cli.conftest import cli
from tests.lab.campaign.conftest import clock, runtime
from tests.predictor.conftest import measurements

__all__ = ["cli", "clock", "measurements", "runtime"]
