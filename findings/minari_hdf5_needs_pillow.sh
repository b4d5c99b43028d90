#!/bin/sh
# Minari's default format (HDF5) needs Pillow, which its extra "hdf5" does not install; the failed call leaves a data set.
#
# Versions: minari 0.5.4 with the extras create and hdf5, gymnasium 1.4.0, numpy 2.4.6; Python 3.11, x86_64.
#
# create_dataset_from_buffers writes episodes of plain numbers, without images. It raises ModuleNotFoundError, and the folder of the
# data set stays behind without metadata: the same call with Pillow installed is then refused, since the data set exists.
# Remedy: install pillow, and remove the folder.
#
# Output seen:
#   without pillow: ModuleNotFoundError PIL
#   left behind: data
#   with pillow, again: ValueError
#   with pillow, after the folder is removed: 2 episodes, 12 steps
#
# Exits with 0 while this holds, with 1 once it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE PYTHONPATH || true
"${PYTHON:-python3}" -m venv "$folder/env"
pip="$folder/env/bin/pip install --quiet --disable-pip-version-check"
$pip "minari[create,hdf5]==0.5.4" gymnasium==1.4.0 numpy==2.4.6
cat > "$folder/try.py" <<'PYTHON'
import os
import sys
import warnings

os.environ["MINARI_DATASETS_PATH"] = sys.argv[1]
warnings.simplefilter("ignore")
import gymnasium
import minari
import numpy as np
from minari.data_collector import EpisodeBuffer

buffers = [
    EpisodeBuffer(
        id=number,
        observations=np.zeros((steps + 1, 3), np.float32),
        actions=np.zeros((steps, 2), np.float32),
        rewards=np.zeros(steps),
        terminations=np.zeros(steps, bool),
        truncations=np.ones(steps, bool),
        infos={},
    )
    for number, steps in enumerate((5, 7))
]
spaces = {name: gymnasium.spaces.Box(-1, 1, (size,)) for name, size in (("observation_space", 3), ("action_space", 2))}
try:
    made = minari.create_dataset_from_buffers("toy/test-v0", buffers, **spaces)
    print(f"{made.total_episodes} episodes, {made.total_steps} steps")
except Exception as error:
    print(type(error).__name__, getattr(error, "name", None) or "")
PYTHON
try="$folder/env/bin/python $folder/try.py $folder/data"
mkdir "$folder/data"
first=$($try 2> /dev/null)
left=$(ls "$folder/data/toy/test-v0" 2> /dev/null || true)
$pip pillow==13.0.0
second=$($try 2> /dev/null)
rm -rf "$folder/data/toy"
third=$($try 2> /dev/null)
echo "without pillow: $first"
echo "left behind: $left"
echo "with pillow, again: $second"
echo "with pillow, after the folder is removed: $third"
[ "$first" = "ModuleNotFoundError PIL" ] && [ "$left" = data ] && [ "$second" = "ValueError " ] && [ "$third" = "2 episodes, 12 steps" ]
