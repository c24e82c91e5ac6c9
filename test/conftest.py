# SPDX-License-Identifier: Apache-2.0
"""In CI a skipped render or rclpy test is a failure: those are the main job."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SAMPLE_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def sample_data() -> Path:
    """The folder of real sample recordings, which are no part of this project."""
    if not SAMPLE_DATA.is_dir():
        pytest.skip("real sample recordings (../shared/data) are not on this machine")
    return SAMPLE_DATA


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    guarded = [name for name in ("render", "ros") if item.get_closest_marker(name)]
    if item.get_closest_marker("ros_installation") or ("sample_data" in item.fixturenames and not SAMPLE_DATA.is_dir()):
        guarded = []
    if os.environ.get("CI") == "true" and report.skipped and guarded and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} is marked {guarded[0]} and may not be skipped in CI: {report.longrepr}"
