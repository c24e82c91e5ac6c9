# SPDX-License-Identifier: Apache-2.0
"""Small bags and separate processes for the tests of player, recorder and demo."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from ssd_core.images.codec import encode_jpeg

ROOT = Path(__file__).parents[2]
START = 1_600_000_000_000_000_000
STEP = 50_000_000
SIZE = (64, 48)

_FOREVER = QosTime(0, 0)
BEST_EFFORT = Qos(
    QosHistory.KEEP_LAST,
    5,
    QosReliability.BEST_EFFORT,
    QosDurability.VOLATILE,
    _FOREVER,
    _FOREVER,
    QosLiveliness.AUTOMATIC,
    _FOREVER,
    False,
)


def write_bag(path, cameras=("CAM_FRONT",), count=4, storage="mcap", qos=(), unknown=False, info=True, mixed=False, short=False):
    """`count` images and, with `info`, CameraInfo of each camera, 50 ms apart; with `unknown` also a message of a type nobody has.

    mixed: a CameraInfo on the topic of each image, too. short: instead of its bytes, the first image has only their first four.
    """
    store = get_typestore(Stores.ROS2_HUMBLE)
    store.register(get_types_from_msg("int32 value\n", "nobody_msgs/msg/Unknown"))
    types = store.types
    plugin = StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3

    def header(index, camera):
        stamp = START + index * STEP
        time_type, header_type = types["builtin_interfaces/msg/Time"], types["std_msgs/msg/Header"]
        return header_type(stamp=time_type(sec=stamp // 10**9, nanosec=stamp % 10**9), frame_id=camera)

    with Writer(path, version=9, storage_plugin=plugin) as writer:

        def write(topic, message, stamp, offered=(), length=None):
            name = message.__msgtype__
            key = topic, name
            if key not in connections:
                connections[key] = writer.add_connection(topic, name, typestore=store, offered_qos_profiles=list(offered))
            writer.write(connections[key], stamp, store.serialize_cdr(message, name)[:length])

        connections = {}
        for index in range(count):
            for camera in cameras:
                image = types["sensor_msgs/msg/CompressedImage"](
                    header=header(index, camera), format="jpeg", data=np.frombuffer(encode_jpeg(picture(index)), np.uint8)
                )
                if info:
                    write(f"/{camera}/camera_info", camera_info(types, header(index, camera)), START + index * STEP)
                length = 4 if short and index == 0 else None
                write(f"/{camera}/image_rect_compressed", image, START + index * STEP, qos, length)
                if mixed:
                    write(f"/{camera}/image_rect_compressed", camera_info(types, header(index, camera)), START + index * STEP)
        if unknown:
            write("/unknown", types["nobody_msgs/msg/Unknown"](value=3), START)
    return path


def picture(index):
    """A gradient that changes with the index, uint8 RGB."""
    width, height = SIZE
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([x * 3, y * 4, np.full_like(x, 20 * index)], axis=-1).astype(np.uint8)


def camera_info(types, header):
    """A pinhole camera without distortion."""
    width, height = SIZE
    k = np.array([60, 0, (width - 1) / 2, 0, 60, (height - 1) / 2, 0, 0, 1], dtype=np.float64)
    roi = types["sensor_msgs/msg/RegionOfInterest"](x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return types["sensor_msgs/msg/CameraInfo"](
        header=header,
        height=height,
        width=width,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=k,
        r=np.eye(3).ravel(),
        p=np.insert(k, [3, 6, 9], 0.0),
        binning_x=0,
        binning_y=0,
        roi=roi,
    )


def start(module, *arguments, **variables):
    """A module of ours as a process of its own, with the whole environment."""
    command = [sys.executable, "-m", f"ssd_depth_ros.{module}", *map(str, arguments)]
    environment = {**os.environ, **{name: str(value) for name, value in variables.items()}}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def interrupt(process, times=1):
    """Ctrl-C, and everything the process said until it ended."""
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.01)
    return process.communicate(timeout=30)[0]


def spin_until(executor, condition, seconds=10.0):
    """Serve callbacks until the condition holds; False if it never did."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        executor.spin_once(timeout_sec=0.05)
    return True
