"""Run by a Python that has LeRobot: writes a data set, finalised or not, with the frames of a file of numpy.

python write_with_lerobot.py FRAMES.npz FOLDER finalised|open
"""

import sys

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset

FPS = 10


def main(frames: str, folder: str, end: str) -> None:
    """Write the episodes of the array `lengths`."""
    with np.load(frames) as found:
        made = dict(found)
    columns = {f"observation.{name}": made[name] for name in ("state", "gripper")} | {"action": made["action"]}
    features = {
        "observation.state": {"dtype": "float32", "shape": (3,), "names": {"motors": ["a", "b", "c"]}},
        "observation.gripper": {"dtype": "float32", "shape": (1,), "names": None},
        "observation.images.top": {
            "dtype": "image",
            "shape": made["top"].shape[1:],
            "names": ["height", "width", "channels"],
        },
        "action": {"dtype": "float32", "shape": (2,), "names": ["dx", "dy"]},
    }
    dataset = LeRobotDataset.create("nobody/nothing", FPS, features, root=folder, use_videos=False)
    row = 0
    for length in made["lengths"].tolist():
        for index in range(row, row + length):
            numbers = {key: values[index] for key, values in columns.items()}
            dataset.add_frame({**numbers, "observation.images.top": made["top"][index], "task": "push"})
        row += length
        dataset.save_episode()
    if end == "finalised":
        dataset.finalize()
    else:
        import os

        os._exit(0)  # as a recording that is killed


if __name__ == "__main__":
    main(*sys.argv[1:])
