"""Run by a Python that has LeRobot: opens a data set with chunk requests, and prints its content as JSON.

python open_with_lerobot.py FOLDER
"""

import json
import sys

from lerobot.datasets.lerobot_dataset import LeRobotDataset

HISTORY, HORIZON = 2, 3


def main(folder: str) -> None:
    """Print the frames and their chunks."""
    plain = LeRobotDataset("nobody/nothing", root=folder)
    period = 1 / plain.fps
    chunks = LeRobotDataset(
        "nobody/nothing",
        root=folder,
        delta_timestamps={
            "observation.state": [period * step for step in range(1 - HISTORY, 1)],
            "action": [period * step for step in range(HORIZON)],
        },
    )
    frames = [chunks[index] for index in range(len(chunks))]
    images = plain.meta.camera_keys
    print(
        json.dumps(
            {
                "fps": plain.fps,
                "episodes": plain.num_episodes,
                "tasks": sorted({frame["task"] for frame in frames}),
                "state": [frame["observation.state"].tolist() for frame in frames],
                "action": [frame["action"].tolist() for frame in frames],
                "is_pad": [frame["action_is_pad"].tolist() for frame in frames],
                "images": {key: [plain[index][key].tolist() for index in range(len(plain))] for key in images},
                "statistics": {
                    key: {name: values.tolist() for name, values in found.items()}
                    for key, found in plain.meta.stats.items()
                },
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
