#!/bin/sh
# Until 1.30, ONNX Runtime holds Python's global interpreter lock while it opens a file, so all threads of the process stand
# still: control loops, watchdogs, time limits, and signal handlers. `session.run` has always released the lock. 1.31
# releases it while opening too. Python 3.10 gets no ONNX Runtime newer than 1.23.2, so it cannot be avoided there.
#
# Versions: onnxruntime 1.22.1, 1.23.2, 1.24.1, 1.25.0, 1.26.0, 1.27.0, 1.28.0, 1.29.0 and 1.30.0 hold it, 1.31.0 and
# 1.31.1 do not; Python 3.11, x86_64, CPU provider. 1.23.2 is the same on 3.10. This script runs 1.30.0 and 1.31.1; onnx
# 1.23.2, numpy 2.2.6.
#
#  - A diffusion policy of 1.3 MB takes 0.4 s to open: so long nothing is commanded by the thread beside.
#  - Constants of the graph are computed meanwhile. A file of 100 kB can ask for hours, and the process can then be ended
#    by SIGKILL alone, or by a signal whose action is the default: Python's handlers wait for the lock.
#
# Asked for in microsoft/onnxruntime#27063.
#
# Remedy: onnxruntime 1.31 or newer. With an older one, open a file in another process first, with a time limit, and none
# while another thread must go on.
#
# Output seen (a file opens in a thread, while the main thread sleeps a millisecond at a time; how often it woke, whether
# a signal sent after 0.1 s was handled before the file was open):
#   onnxruntime 1.30.0: woke not at all while a file was opened; signal handled after it
#   onnxruntime 1.31.1: woke many times while a file was opened; signal handled meanwhile
#
# Exits with 0 while this holds, with 1 once it has changed. Needs Python 3.11 or newer.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE PYTHONPATH || true
cat > "$folder/try.py" <<'PYTHON'
import os
import signal
import sys
import threading
import time

import onnxruntime
from onnx import TensorProto, helper

PRODUCTS, SIZE = 100, 1000
nodes = [helper.make_node("ConstantOfShape", ["shape"], ["a0"])]
nodes += [helper.make_node("MatMul", [f"a{i}", "a0"], [f"a{i + 1}"]) for i in range(PRODUCTS)]
nodes += [helper.make_node("Add", ["x", f"a{PRODUCTS}"], ["y"])]
ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)] for name, shape in (("x", [1]), ("y", None))]
graph = helper.make_graph(nodes, "g", *ends, [helper.make_tensor("shape", TensorProto.INT64, [2], [SIZE, SIZE])])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
is_open = threading.Event()
times, handled = [], []
signal.signal(signal.SIGTERM, lambda *_: handled.append(time.monotonic()))


def open_file():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    times.append(time.monotonic())
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    times.append(time.monotonic())
    is_open.set()


if os.fork() == 0:  # sends the signal
    time.sleep(0.1)
    os.kill(os.getppid(), signal.SIGTERM)
    os._exit(0)
threading.Thread(target=open_file).start()
woken = 0
while not is_open.is_set():
    time.sleep(0.001)
    woken += not is_open.is_set()
os.wait()
slept_on = woken < 10
late = handled[0] > times[0] + 0.9 * (times[1] - times[0])  # the lock is given away just before the thread goes on
print(
    f"onnxruntime {onnxruntime.__version__}: woke {'not at all' if slept_on else 'many times'} while a file was opened; "
    f"signal handled {'after it' if late else 'meanwhile'}"
)
sys.exit(not slept_on == late == (sys.argv[1] == "held"))
PYTHON
changed=0
for expected in 1.30.0:held 1.31.1:released; do
    "${PYTHON:-python3}" -m venv --clear "$folder/env"
    "$folder/env/bin/pip" install --quiet --disable-pip-version-check "onnxruntime==${expected%:*}" onnx==1.23.2 numpy==2.2.6
    "$folder/env/bin/python" "$folder/try.py" "${expected#*:}" || changed=1
done
exit "$changed"
