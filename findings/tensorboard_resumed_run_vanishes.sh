#!/bin/sh
# TensorBoard: if a run is interrupted and resumed within one second, everything that the resumed part wrote can vanish.
#
# Seen with tensorboard 2.20.0 on Python 3.11, Linux x86-64.
#
# The name of an event file has the second, the host, the process number and a counter. The reader sorts the files of a
# folder by name as text: counter 10 before counter 9, process 1000 before process 999. The header of each file says from
# which step on earlier data are void (purge_step, set by a resumed run), so the older file, read last, voids the newer one:
# of steps 0 to 3 and then 4 to 7, only 0 to 3 remain. The only sign is a line in the reader's log ("likely caused by a
# TensorFlow restart").
#
# Seen: files in the order of their names: counter 10 (steps 4 to 7), counter 9 (steps 0 to 3); steps that are read: 0 to 3.
# Remedy: read each file alone, and order them by the time of their first event; or start a second later.
#
# Exits with 0 while this holds, with 1 once it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "tensorboard==2.20.0" "setuptools<81"
"$folder/venv/bin/python" - "$folder/run" <<'PYTHON'
import os
import sys
import time

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer import event_file_writer

event_file_writer._global_uid = event_file_writer.AtomicCounter(9)  # as after nine other files of this process


def write(steps: range) -> None:
    """Write one file, as a run does that begins or goes on with the first of these steps."""
    writer = event_file_writer.EventFileWriter(sys.argv[1])
    start = SessionLog(status=SessionLog.START)
    writer.add_event(Event(wall_time=time.time(), step=steps[0], session_log=start))
    for step in steps:
        value = Summary.Value(tag="loss", simple_value=1.0)
        writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=[value])))
    writer.close()


while True:  # both files within one second
    for name in os.listdir(sys.argv[1]) if os.path.isdir(sys.argv[1]) else []:
        os.remove(os.path.join(sys.argv[1], name))
    event_file_writer._global_uid = event_file_writer.AtomicCounter(9)
    write(range(4))
    write(range(4, 8))
    files = sorted(os.listdir(sys.argv[1]))
    if len({name.split(".")[3] for name in files}) == 1:
        break
events = EventAccumulator(sys.argv[1])
events.Reload()
steps = [event.step for event in events.Scalars("loss")]
print("files:", [name.rpartition(".")[2] for name in files], "steps:", steps)
sys.exit(not (files[0].endswith(".10") and steps == [0, 1, 2, 3]))
PYTHON
