#!/bin/sh
# One session of ONNX Runtime with `session.set_denormal_as_zero` changes the arithmetic of the whole thread, for good.
#
# Versions: onnxruntime 1.31.1, onnx 1.23.2, hypothesis 6.170.15; Python 3.11, x86_64.
#
# The option is one of a session, and sounds as if it were about that session's operators. With one intra-op thread the
# operators run in the caller's thread, and the processor's mode is set there when the session is MADE, not for the time
# of a run, and never set back:
#  - the smallest subnormal, times one, is zero in Python and numpy from then on, without a single run;
#  - threads that are started later inherit it;
#  - deleting the session does not end it;
#  - hypothesis, which draws floats, refuses to: st.floats() raises FloatingPointError ("compiled with -ffast-math or a
#    similar option"), so that a test passes alone and fails after one that loaded a model.
#
# What to do: make such sessions where nobody needs subnormals; in tests, st.floats(allow_subnormal=False).
#
# Output seen:
#   before: subnormals are there
#   session made: subnormals are zero
#   another thread, started later: subnormals are zero
#   session deleted: subnormals are zero
#   hypothesis: FloatingPointError
#
# Ends with 0 while that is so, and with 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE PYTHONPATH || true
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.31.1 onnx==1.23.2 hypothesis==6.170.15
cat > "$folder/try.py" <<'PYTHON'
import sys
import threading

import onnxruntime
from hypothesis import strategies
from onnx import parser

SMALLEST = 5e-324
seen = []


def look(when):
    seen.append(SMALLEST * 1.0 != 0.0)
    print(f"{when}: subnormals are {'there' if seen[-1] else 'zero'}")


look("before")
model = parser.parse_model('<ir_version: 8, opset_import: ["" : 17]> g (float[1] x) => (float[1] y) { y = Add(x, x) }')
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.add_session_config_entry("session.set_denormal_as_zero", "1")
session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
look("session made")
thread = threading.Thread(target=look, args=("another thread, started later",))
thread.start()
thread.join()
del session
look("session deleted")
try:
    strategies.floats().example()
    refused = False
except FloatingPointError as error:
    refused = "subnormal" in str(error)
print(f"hypothesis: {'FloatingPointError' if refused else 'draws floats'}")
sys.exit(seen != [True, False, False, False] or not refused)
PYTHON
"$folder/env/bin/python" "$folder/try.py"
