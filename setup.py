"""Package of vdd_ros, for pip and for colcon (ament_python)."""

from pathlib import Path

from setuptools import find_packages, setup

NAME = "vdd_ros"
SHARED = ("config", "launch", "models")

RUNTIME = [
    "numpy>=1.26",
    "pyyaml>=5.4",
    # The CPU provider of onnxruntime-gpu serves machines without CUDA; there are no such wheels elsewhere.
    'onnxruntime-gpu; sys_platform == "linux" and platform_machine == "x86_64"',
    'onnxruntime; sys_platform != "linux" or platform_machine != "x86_64"',
]
FIGURES = ["matplotlib", "tqdm"]
CLUSTER = ["ray>=2.30"]
FORMATS = ["h5py>=3.8", "numcodecs>=0.12", "pillow", "pyarrow>=15"]
PHYSICS = ["mujoco>=3.3,<3.12"]
KITCHEN = [*PHYSICS, "gymnasium-robotics>=1.4.2,<1.5"]
VIDEO = ["av>=14"]
EXTRAS = {
    # ROS 2 Jazzy as wheels, for machines without a ROS installation (x86_64 Linux).
    "ros": [
        "ros-jazzy-rclpy==7.1.6",
        "ros-jazzy-rmw-fastrtps-cpp==8.4.3",
        "ros-jazzy-diagnostic-msgs==5.3.6",
        "ros-jazzy-geometry-msgs==5.3.6",
        "ros-jazzy-lifecycle-msgs==2.0.3",
        "ros-jazzy-sensor-msgs==5.3.6",
        "ros-jazzy-std-msgs==5.3.6",
        "ros-jazzy-std-srvs==5.3.6",
        "ros-jazzy-trajectory-msgs==5.3.6",
        "rosbags>=0.10",
        # What bags are compressed with; rosbags brings them too.
        "lz4",
        'backports.zstd; python_version < "3.14"',
    ],
    "sim": ["gymnasium>=1.1", *FIGURES],
    "train": [
        "torch>=2.9",
        "onnx>=1.17",
        "safetensors>=0.4",
        "scikit-learn>=1.5",
        "scipy>=1.11",
        "tensorboard",
        *FIGURES,
    ],
    # Tasks in MuJoCo.
    "physics": PHYSICS,
    # The task `kitchen`: its model is that of gymnasium-robotics.
    "kitchen": KITCHEN,
    # Work on several machines.
    "cluster": CLUSTER,
    # Demonstrations of other programs.
    "formats": FORMATS,
    # Videos of rollouts.
    "video": [*VIDEO, *FIGURES],
    "dev": [
        *CLUSTER,
        *FORMATS,
        *KITCHEN,
        *VIDEO,
        "colcon-common-extensions",
        "hypothesis",
        "mypy",
        "onnx>=1.17",
        "pytest",
        "pytest-xdist",
        "rerun-sdk",
        "ruff",
        "scipy",
        "setuptools",
        "types-PyYAML",
        'zarr>=3; python_version >= "3.11"',
    ],
}


def shared_files() -> list[tuple[str, list[str]]]:
    """List every file below the shared folders for installation at the same place below share/vdd_ros."""
    share = Path("share", NAME)
    files = [path for folder in SHARED for path in sorted(Path(folder).rglob("*")) if path.is_file()]
    return [(str(share / path.parent), [str(path)]) for path in files if "__pycache__" not in path.parts]


setup(
    name=NAME,
    version="0.1.0",
    description="Distil diffusion policies into mixtures of experts and run them on robots with ROS 2.",
    author="vdd_ros maintainers",
    maintainer="vdd_ros maintainers",
    maintainer_email="maintainers@example.org",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={NAME: ["py.typed"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        *shared_files(),
    ],
    install_requires=RUNTIME,
    extras_require=EXTRAS,
    zip_safe=False,
    entry_points={
        "console_scripts": [
            "vdd = vdd_ros.cli.main:main",
            "policy_node = vdd_ros.nodes.policy_node:main",
            "sim_robot_node = vdd_ros.nodes.sim_robot_node:main",
            "bag_recorder = vdd_ros.nodes.bag_recorder:main",
        ]
    },
)
