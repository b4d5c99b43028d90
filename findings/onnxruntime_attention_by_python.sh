#!/bin/sh
# `pip install onnxruntime` gives another policy on Python 3.10 than on 3.11: the newest wheel for 3.10 is 1.23.2, and
# 1.23.2 computes ONNX's operator Attention (operator set 23) otherwise, without a word, where
#
#   - softcap and a causal mask meet: it caps the mask too. A masked score becomes -softcap instead of minus infinity, so
#     each step of a window looks at the later ones with a weight of about exp(-softcap). With softcap 50, as in language
#     models, that drowns in rounding; with 5 or less it is seen. onnx's own reference and 1.27 and later cap first.
#   - a mask leaves nothing to look at, such as a step of a window that is only padding: NaN. The reference and 1.28 and
#     later give zeros; 1.24 to 1.27 give a mean of what is masked.
#
# One file, accepted by onnx.checker and opened by both; a causal Attention without softcap is the same in both.
#
# Versions: onnxruntime 1.23.2 on Python 3.10, 1.31.1 on Python 3.11, 3.12 or 3.13; onnx 1.23.2; x86_64. 1.23.2 gives the
# same on newer Pythons: it is the wheel that differs, and the Python that chooses the wheel. Needs both Pythons, in PATH
# or from pyenv.
#
# What to do: let a file be compared with a reference on the Python and with the runtime of the robot, and not only where
# it was made; no softcap, and no step without anything to look at, in files for runtimes before 1.28.
#
# Output seen (change of the first four of five outputs after another last input; outputs of a step that sees nothing):
#   Python 3.10: onnxruntime 1.31.1 cannot be had
#   Python 3.10, onnxruntime 1.23.2: causal 0, softcap 50 0, softcap 5 0.0057, softcap 2 0.098; nothing to look at: nan
#   Python 3.11, onnxruntime 1.31.1: causal 0, softcap 50 0, softcap 5 0, softcap 2 0; nothing to look at: 0
#
# Ends with 0 while that is so, with 1 when it has changed, and with 2 where a Python is missing.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE PYTHONPATH PYENV_VERSION || true

python_of() {  # The first Python of these versions that is there
    for version in "$@"; do
        for python in "python$version" "$(pyenv prefix "$(pyenv latest "$version" 2> /dev/null)" 2> /dev/null)/bin/python"; do
            if "$python" -c 'import sys, venv; sys.exit(sys.version_info[:2] != tuple(map(int, sys.argv[1].split("."))))' \
                "$version" 2> /dev/null; then
                echo "$python"
                return
            fi
        done
    done
    echo "none of these Pythons is in PATH or in pyenv: $*" >&2
    return 2
}

older=$(python_of 3.10) || exit 2
newer=$(python_of 3.11 3.12 3.13) || exit 2
"$older" -m venv "$folder/older"
"$newer" -m venv "$folder/newer"
"$folder/older/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.23.2 onnx==1.23.2 numpy==2.2.6
"$folder/newer/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.31.1 onnx==1.23.2 numpy==2.2.6
if "$folder/older/bin/pip" download --quiet --no-deps --dest "$folder" onnxruntime==1.31.1 2> /dev/null; then
    echo "Python 3.10: onnxruntime 1.31.1 can be had by now"
    exit 1
fi
echo "Python 3.10: onnxruntime 1.31.1 cannot be had"

cat > "$folder/make.py" <<'PY'
import sys

import numpy as np
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator

FLOAT, STEPS, HEADS, WIDTH = onnx.TensorProto.FLOAT, 5, 2, 4
x = np.random.default_rng(0).standard_normal((1, STEPS, HEADS * WIDTH)).astype(np.float32)
other = x.copy()
other[0, -1] *= -1
np.savez(f"{sys.argv[1]}/inputs.npz", x=x, other=other)
sees = np.tril(np.ones((STEPS, STEPS), bool))
sees[0] = False  # the first step is padding
constant = onnx.numpy_helper.from_array(sees, "sees")
for name, inputs, attributes in (
    ("causal", ["x"] * 3, {"is_causal": 1}),
    ("softcap 50", ["x"] * 3, {"is_causal": 1, "softcap": 50.0}),
    ("softcap 5", ["x"] * 3, {"is_causal": 1, "softcap": 5.0}),
    ("softcap 2", ["x"] * 3, {"is_causal": 1, "softcap": 2.0}),
    ("padding", [*["x"] * 3, "sees"], {}),
):
    node = helper.make_node("Attention", inputs, ["y"], q_num_heads=HEADS, kv_num_heads=HEADS, **attributes)
    ends = [[helper.make_tensor_value_info(end, FLOAT, x.shape)] for end in "xy"]
    graph = helper.make_graph([node], "g", *ends, [constant] if "sees" in inputs else [])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=11)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, f"{sys.argv[1]}/{name}.onnx")
    y, changed = (ReferenceEvaluator(model).run(["y"], {"x": value})[0][0] for value in (x, other))
    assert np.array_equal(y[:-1], changed[:-1]) and not (name == "padding" and y[0].any()), name
PY
cat > "$folder/run.py" <<'PY'
import sys

import numpy as np
import onnxruntime

folder, expected = sys.argv[1], sys.argv[2]
x, other = (np.load(f"{folder}/inputs.npz")[name] for name in ("x", "other"))


def run(name, *values):
    session = onnxruntime.InferenceSession(f"{folder}/{name}.onnx", providers=["CPUExecutionProvider"])
    return [session.run(["y"], {"x": value})[0][0] for value in values]


seen = []
for name in ("causal", "softcap 50", "softcap 5", "softcap 2"):
    y, changed = run(name, x, other)
    seen.append(f"{name} {np.abs(y - changed)[:-1].max():.2g}")
(y,) = run("padding", x)
line = f"{', '.join(seen)}; nothing to look at: {np.abs(y[0]).max():.2g}"
print(f"Python {sys.version_info[0]}.{sys.version_info[1]}, onnxruntime {onnxruntime.__version__}: {line}")
sys.exit(line != expected)
PY
"$folder/newer/bin/python" "$folder/make.py" "$folder"
changed=0
"$folder/older/bin/python" "$folder/run.py" "$folder" \
    "causal 0, softcap 50 0, softcap 5 0.0057, softcap 2 0.098; nothing to look at: nan" || changed=1
"$folder/newer/bin/python" "$folder/run.py" "$folder" \
    "causal 0, softcap 50 0, softcap 5 0, softcap 2 0; nothing to look at: 0" || changed=1
exit "$changed"
