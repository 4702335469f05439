"""No byte free: the installed version runs; with none installed, the factory's runs from memory."""

import pytest
from sanderling.firmware_sim import faults

pytestmark = pytest.mark.slow


def test_before_anything_is_installed(attacked):
    report = attacked("full-disk")
    assert report.equal
    assert any("running from memory" in line.get("note", "") for line in report.events)


def test_with_a_version_installed(used):
    _, start = used
    watched = start(faults.FAULTS["full-disk"].script)
    assert watched.last("running").startswith("/data/slots/a")
