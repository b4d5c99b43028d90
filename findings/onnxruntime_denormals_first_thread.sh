#!/bin/sh
# ONNX Runtime: session.set_denormal_as_zero acts on the thread that opens the first session of the process, on nothing
# else that is there, and never again: later sessions ask in vain, in whatever thread they are opened.
#
# Versions: onnxruntime 1.22.1 (onnxruntime-gpu 1.31.1 on its CPU provider does the same), numpy 2, CPython 3.11, x86_64 Linux.
#
# Threads that are started by the first opener inherit the mode, other threads do not have it, though they run the same
# session. A program that loads its model in a worker thread, as one with a deadline for loading does, and runs it in
# another, computes with denormals at full cost although the option says otherwise; numpy in the first thread flushes.
#
# Seen (does 1e-38 * 0.01 in float32 count as zero?), where a worker opens the first session:
#   worker: True   main: False   a thread of main: False   main after opening a second session: False
# and where main opens the first:
#   main: True     a thread of main: True
# Way out: open a tiny session with the option in the main thread before any other.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install "onnxruntime==1.22.1" "numpy>=2" "onnx>=1.17"
cat > "$folder/try.py" <<'PYTHON'
import sys
import threading

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "identity", value[:1], value[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
found = {}


def look(who):
    found[who] = float(np.float32(1e-38) * np.float32(0.01)) == 0.0


def opens(who):
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    look(who)


def in_thread(function, who):
    thread = threading.Thread(target=function, args=(who,))
    thread.start()
    thread.join()


if sys.argv[1] == "worker":
    in_thread(opens, "worker")
    look("main")
    in_thread(look, "a thread of main")
    opens("main after a second session")
    expected = [True, False, False, False]
else:
    opens("main")
    in_thread(look, "a thread of main")
    expected = [True, True]
print(sys.argv[1], "first:", found)
sys.exit(list(found.values()) != expected)
PYTHON
"$folder/venv/bin/python" "$folder/try.py" worker
"$folder/venv/bin/python" "$folder/try.py" main
