#!/bin/sh
# rosbags takes the primitive type `wstring` of a .msg definition for a message of the same package. The definition is read
# without an error; the type then cannot be registered, or its messages deserialised, which leaves the topic unreadable.
#
# Versions: rosbags 0.11.9; Python 3.11.
#
# `wstring` is one of ROS 2's primitive types (https://docs.ros.org/en/jazzy/Concepts/Basic/About-Interfaces.html), and
# example_interfaces/msg/WString and test_msgs use it. The error, if any, names a type such as my_msgs/msg/wstring, which
# nobody defined.
#
# Remedy: read such a topic's other fields by their offsets, as far as they stand before the wstring, or leave it out.
#
# Output seen:
#   fields of my_msgs/msg/Label: [('text', 'my_msgs/msg/wstring')]
#   a message of it: KeyError('my_msgs/msg/wstring')
#
# Exits with 0 while this holds, with 1 once it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE PYTHONPATH || true
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check rosbags==0.11.9
cat > "$folder/try.py" <<'PYTHON'
import struct
import sys

from rosbags.typesys import Stores, get_types_from_msg, get_typestore

KIND = "my_msgs/msg/Label"
types = get_types_from_msg("wstring text\n", KIND)
fields = [(name, kind[1]) for name, kind in types[KIND][1]]
print(f"fields of {KIND}: {fields}")
store = get_typestore(Stores.ROS2_JAZZY)
content = b"\0\1\0\0" + struct.pack("<I", 2) + "hi".encode("utf-16-le")
try:
    store.register(types)
    message = repr(store.deserialize_cdr(content, KIND))
except Exception as error:
    message = repr(error)
print(f"a message of it: {message}")
sys.exit(0 if fields == [("text", "my_msgs/msg/wstring")] and "wstring" in message and "hi" not in message else 1)
PYTHON
"$folder/env/bin/python" "$folder/try.py"
