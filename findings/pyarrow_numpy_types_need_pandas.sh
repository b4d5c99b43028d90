#!/bin/sh
# pyarrow 25.0.1 needs pandas to name the NumPy type of a column of numbers; pyarrow 26.0.1 does not.
#
# Versions: pyarrow 25.0.1 (what pip installs on Python 3.10) and 26.0.1, numpy 2.2.6; Python 3.11.
#
# pa.float64().to_pandas_dtype() returns NumPy's float64 class, which has nothing to do with pandas, and pandas is no
# requirement of pyarrow. Still, 25.0.1 imports pandas in it and raises ModuleNotFoundError. Readers of robot data sets
# in Arrow or Parquet (Minari, LeRobot) that derive array types this way work with one release and fail with the other.
# Table.column(...).to_numpy() works in both.
#
# Remedy: map the names of the Arrow types (halffloat, float, double; all others are NumPy's) instead.
#
# Output seen:
#   pyarrow 25.0.1: ModuleNotFoundError: No module named 'pandas'; to_numpy float64
#   pyarrow 26.0.1: float64; to_numpy float64
#
# Exits with 0 while this holds, with 1 once it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset PYTHONPATH || true
"${PYTHON:-python3}" -m venv "$folder/env"
cat > "$folder/look.py" <<'PYTHON'
import pyarrow as pa

try:
    found = pa.float64().to_pandas_dtype().__name__
except ModuleNotFoundError as error:
    found = f"ModuleNotFoundError: {error}"
column = pa.table({"joint": pa.array([0.0, 1.0])}).column("joint")
print(f"pyarrow {pa.__version__}: {found}; to_numpy {column.to_numpy().dtype}")
PYTHON
for version in 25.0.1 26.0.1; do
    "$folder/env/bin/pip" install --quiet --disable-pip-version-check pyarrow==$version numpy==2.2.6
    "$folder/env/bin/python" "$folder/look.py"
done > "$folder/seen"
cat "$folder/seen"
cat > "$folder/expected" <<'TEXT'
pyarrow 25.0.1: ModuleNotFoundError: No module named 'pandas'; to_numpy float64
pyarrow 26.0.1: float64; to_numpy float64
TEXT
cmp -s "$folder/seen" "$folder/expected"
