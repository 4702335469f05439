"""A sensor that stops, or says NaN: the board says so, and scores on as this machine does."""

import pytest

pytestmark = pytest.mark.slow


def test_a_sensor_that_stops_and_goes_on(attacked):
    report = attacked("sensor-stall")
    assert report.equal
    assert "stall" in [line["event"] for line in report.events]


def test_missing_values(attacked):
    assert attacked("missing-values").equal
