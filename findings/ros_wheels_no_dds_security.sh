#!/bin/sh
# The ROS 2 wheels ship OpenSSL beside Fast DDS, but no DDS security.
#
# Versions: ros-jazzy-rclpy 7.1.6, ros-jazzy-rmw-fastrtps-cpp 8.4.3, ros-fastrtps 2.14.5; Python 3.11, x86_64.
#
# The wheel's libfastrtps is linked against the libssl and libcrypto beside it (for its TLS transport), as if SROS2 would
# work. It is compiled without the security plugins. With ROS_SECURITY_ENABLE=true and an enclave with all six files, rclpy
# cannot create a node, under the strategy Permissive as under Enforce: the files are never read. With Permissive and
# without the files, the node runs unprotected.
#
# Output seen:
#   OpenSSL beside Fast DDS: libcrypto, libssl
#   Enforce, with files: RCLError, This Fast DDS version doesn't have the security libraries
#   Permissive, with files: RCLError, This Fast DDS version doesn't have the security libraries
#   Permissive, without files: a node
#
# Exits with 0 while this holds, with 1 once it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE PYTHONPATH || true
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check \
    ros-jazzy-rclpy==7.1.6 ros-jazzy-rmw-fastrtps-cpp==8.4.3
cat > "$folder/node.py" <<'PYTHON'
import rclpy

try:
    rclpy.init(args=["--ros-args", "--enclave", "/one"])
    rclpy.create_node("one")
    print("a node")
except Exception as error:
    print(f"{type(error).__name__}, {str(error).removeprefix('error creating node: ').splitlines()[0]}")
PYTHON
mkdir -p "$folder/full/enclaves/one" "$folder/empty/enclaves"
for name in identity_ca.cert.pem cert.pem key.pem permissions_ca.cert.pem governance.p7s permissions.p7s; do
    : > "$folder/full/enclaves/one/$name"
done
export AMENT_PREFIX_PATH="$folder/env" ROS_LOG_DIR="$folder/log" ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST
export ROS_SECURITY_ENABLE=true
{
    beside=$(find "$folder/env" -path '*ros_fastrtps.libs*' -name 'lib*' | sed -E 's#.*/(lib[a-z]+)-.*#\1#' | sort | grep -E 'ssl|crypto')
    echo "OpenSSL beside Fast DDS: $(echo $beside | sed 's/ /, /g')"
    for try in "Enforce full with" "Permissive full with" "Permissive empty without"; do
        set -- $try
        said=$(ROS_SECURITY_STRATEGY=$1 ROS_SECURITY_KEYSTORE="$folder/$2" "$folder/env/bin/python" "$folder/node.py" 2> /dev/null)
        echo "$1, $3 files: $said"
    done
} | tee "$folder/seen"
sed -n 's/^#   //p' "$0" > "$folder/expected"
cmp "$folder/expected" "$folder/seen"
