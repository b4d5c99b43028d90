#!/bin/sh
# zarr 3 lists the members of a group in a different order from call to call.
#
# Versions: zarr 3.1.6, numpy 2.4.6; Python 3.11, x86_64.
#
# group.keys(), members() and arrays() of a store in a folder look for all members at once and give them as they come. Code
# that concatenates the observation in the order of the keys, as readers of Diffusion Policy's stores do, gets another order
# in another run, and a policy sees its entries permuted. zarr 2 sorted the names.
# Remedy: sorted(group.keys()), or name the arrays.
#
# Output seen (the numbers vary):
#   219 orders of the same 8 members in 300 listings; sorted in 0
#
# Exits with 0 while this holds, with 1 once it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE PYTHONPATH || true
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check zarr==3.1.6 numpy==2.4.6
"$folder/env/bin/python" - "$folder/store.zarr" <<'PYTHON'
import sys

import numpy as np
import zarr

group = zarr.open_group(sys.argv[1], mode="w", zarr_format=2)
names = [f"entry_{number}" for number in range(8)]
for name in names:
    group.create_array(name, data=np.zeros(3))
orders = [tuple(zarr.open_group(sys.argv[1], mode="r").keys()) for _ in range(300)]
print(f"{len(set(orders))} orders of the same 8 members in 300 listings; sorted in {orders.count(tuple(names))}")
sys.exit(not (len(set(orders)) > 1 and {tuple(sorted(order)) for order in orders} == {tuple(names)}))
PYTHON
