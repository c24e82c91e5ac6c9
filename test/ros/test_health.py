# SPDX-License-Identifier: Apache-2.0
"""Counts, levels and throttled complaints, on a clock of the test's own."""

import pytest

from ssd_depth_ros.health import COMPLAINT_PERIOD, RATE_WINDOW, STALE_AFTER, CameraHealth, Level


class Camera:
    def __init__(self) -> None:
        self.now = 100.0
        self.log: list[str] = []
        self.health = CameraHealth("front", self.log.append, lambda: self.now)

    def run(self, seconds: float, hertz: float, every: int = 1) -> None:
        """Images at a rate; each `every`-th is published 0.1 s later, the others are dropped."""
        for index in range(round(seconds * hertz)):
            self.now += 1 / hertz
            self.health.image_received()
            if index % every == 0:
                self.health.image_published(0.1 + 0.001 * (index % 10), 0.3)
            else:
                self.health.image_dropped()

    def status(self, topic: str | None = "/front/image"):
        return self.health.status("node", topic, "/front/image")


@pytest.fixture
def camera() -> Camera:
    return Camera()


def test_a_running_camera(camera: Camera) -> None:
    camera.run(20, 10)
    status = camera.status()
    assert (status.name, status.level, status.message) == ("node: front", Level.OK, "running")
    assert status.values["input rate (Hz)"] == status.values["output rate (Hz)"] == "10.0"
    assert (status.values["received"], status.values["dropped"]) == (200, 0)
    assert float(status.values["latency p50 (ms)"]) == pytest.approx(104.5, abs=1)
    assert float(status.values["latency p95 (ms)"]) == pytest.approx(109, abs=1)


def test_overload_is_no_fault_but_told(camera: Camera) -> None:
    camera.run(20, 30, every=6)
    status = camera.status()
    assert status.level == Level.OK and "they come faster than the network runs" in status.message
    assert status.values["output rate (Hz)"] == "5.0" and status.values["dropped"] == 500


def test_silence_is_stale(camera: Camera) -> None:
    assert camera.status(None).message == "nobody publishes images on /front/image"
    assert camera.status().message == "no image has arrived yet"
    camera.run(1, 10)
    camera.now += STALE_AFTER + 1
    status = camera.status()
    assert (status.level, status.message) == (Level.STALE, "no image for 4 s")
    camera.now += RATE_WINDOW
    assert camera.status().values["input rate (Hz)"] == "0.0"


def test_errors_are_a_warning_beside_depth_and_an_error_without(camera: Camera) -> None:
    camera.run(1, 10)
    camera.health.complain("damaged_image", "half a JPEG")
    assert (camera.status().level, camera.status().message) == (Level.WARN, "half a JPEG")
    for _ in range(100):
        camera.now += 0.1
        camera.health.image_received()
        camera.health.complain("damaged_image", "half a JPEG")
    status = camera.status()
    assert status.level == Level.ERROR and status.values["errors: damaged_image"] == 101
    camera.now += RATE_WINDOW + 1
    camera.run(1, 10)
    assert camera.status().level == Level.OK


def test_each_cause_is_logged_once_in_a_while(camera: Camera) -> None:
    for _ in range(50):
        camera.now += COMPLAINT_PERIOD / 100
        camera.health.complain("a", "first trouble")
        camera.health.complain("b", "second trouble")
    assert camera.log == ["front: first trouble", "front: second trouble"]
    camera.now += COMPLAINT_PERIOD
    camera.health.complain("a", "first trouble")
    assert camera.log[2:] == ["front: first trouble (51 times so far)"]
