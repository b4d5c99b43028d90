#!/bin/sh
# zarr 3 stores an array that is not in C order in the wrong places if a Delta or FixedScaleOffset filter is set. Neither the
# write nor the read fails; every value is still there, at another index.
#
# Versions: zarr 3.1.6, numcodecs 0.16.6, numpy 2.4.6; Python 3.11, x86_64. Reported upstream (numcodecs 850).
#
# Both filters walk through memory, and zarr puts the result back in C order. Two ways lead there, in zarr format 3:
#  - The array that is written fills one chunk and is in Fortran order: a transposed view such as trajectory.T, a buffer from
#    MATLAB, a column-major state matrix. With more than one chunk, zarr copies and the same array is stored correctly. So an
#    episode that fits a chunk is damaged, and a longer one is not.
#  - A transpose codec stands before the filter. The stored bytes are then not those that the specification's order gives,
#    so a reader that follows it gets the same wrong array.
# zarr_format=2 is not affected, nor are arrays without these filters.
#
# Remedy: write np.ascontiguousarray(array), put no transpose before such a filter, and compare a read with what was written.
#
# Output seen (2 joints, 3 steps: [[0, 1, 4], [9, 16, 25]]):
#   no filter: C order kept, Fortran order kept, after transpose kept
#   delta: C order kept, Fortran order [[0, 9, 1], [16, 4, 25]], after transpose [[0, 4, 16], [1, 9, 25]]
#   fixedscaleoffset: C order kept, Fortran order [[0, 9, 1], [16, 4, 25]], after transpose [[0, 4, 16], [1, 9, 25]]
#   delta, Fortran order in two chunks: kept; in zarr format 2: kept
#   delta after transpose, stored: 0 1 3 5 7 9; in the specification's order: 0 9 -8 15 -12 21
#
# Exits with 0 while this holds, with 1 once it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE PYTHONPATH || true
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check zarr==3.1.6 numcodecs==0.16.6 numpy==2.4.6
cat > "$folder/try.py" <<'PYTHON'
import sys
import warnings
from pathlib import Path

import numcodecs
import numpy as np
import zarr
from zarr.codecs import TransposeCodec
from zarr.codecs.numcodecs import Delta, FixedScaleOffset

warnings.simplefilter("ignore")  # that these filters are not part of the specification
STATES = np.array([[0, 1, 4], [9, 16, 25]], dtype="<i8")
FORTRAN = np.asfortranarray(STATES)
FILTERS = {
    "no filter": [],
    "delta": [Delta(dtype="<i8")],
    "fixedscaleoffset": [FixedScaleOffset(offset=0, scale=1, dtype="<i8", astype="<i8")],
}
store = Path(sys.argv[1])


def stored(values, filters, chunks=(2, 3), zarr_format=3):
    """Write an array, open it again, and tell what came back."""
    zarr.create_array(
        store, shape=(2, 3), chunks=chunks, dtype="<i8", filters=filters, compressors=None, overwrite=True,
        zarr_format=zarr_format,
    )[:] = values
    found = zarr.open_array(store, mode="r")[:]
    return "kept" if np.array_equal(found, STATES) else found.tolist()


for name, filters in FILTERS.items():
    after = stored(STATES, [TransposeCodec(order=(1, 0)), *filters])
    print(f"{name}: C order {stored(STATES, filters)}, Fortran order {stored(FORTRAN, filters)}, after transpose {after}")
two = stored(FORTRAN, FILTERS["delta"], chunks=(2, 2))
print(f"delta, Fortran order in two chunks: {two}; in zarr format 2: ", end="")
print(stored(FORTRAN, [numcodecs.Delta(dtype="<i8")], zarr_format=2))
stored(STATES, [TransposeCodec(order=(1, 0)), *FILTERS["delta"]])
there = np.frombuffer((store / "c" / "0" / "0").read_bytes(), "<i8")
expected = np.diff(np.ascontiguousarray(STATES.T).ravel(), prepend=0)
print("delta after transpose, stored:", *there, end="; in the specification's order: ")
print(*expected)
PYTHON
"$folder/env/bin/python" "$folder/try.py" "$folder/store.zarr" | tee "$folder/seen"
sed -n '/^# Output seen/,/^#$/s/^#   //p' "$0" > "$folder/expected"
cmp "$folder/expected" "$folder/seen"
