#!/bin/sh
# safetensors: load(bytes) returns the tensors in a different order from call to call; load_file and safe_open do not.
#
# Seen with safetensors 0.8.0 and numpy 2.4.6 on Python 3.11, Linux x86-64:
#   load:      30 orders in 30 calls in one process
#   load_file: 1 order in 30 calls, in order of names
#   safe_open: 1 order in 30 calls, in order of names
# The values are always right. But code that iterates over load's dictionary and draws a random number, sums or hashes per
# tensor gets a different result each time from the same bytes. safetensors.torch.load behaves alike.
# Remedy: iterate over sorted(tensors).
#
# Exits with 0 while this holds, with 1 once it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check safetensors==0.8.0 numpy==2.4.6
"$folder/venv/bin/python" - "$folder/file.safetensors" <<'PYTHON'
import sys

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load, load_file, save

names = [f"layer.{number:02}" for number in range(30)]
content = save({name: np.zeros(1, np.float32) for name in names})
with open(sys.argv[1], "wb") as file:
    file.write(content)

orders = {
    "load": {tuple(load(content)) for _ in range(30)},
    "load_file": {tuple(load_file(sys.argv[1])) for _ in range(30)},
    "safe_open": {tuple(safe_open(sys.argv[1], "np").keys()) for _ in range(30)},
}
for function, found in orders.items():
    print(f"{function}: {len(found)} orders in 30 calls, in order of names: {found == {tuple(names)}}")
sys.exit(not (len(orders["load"]) > 1 and len(orders["load_file"]) == len(orders["safe_open"]) == 1))
PYTHON
