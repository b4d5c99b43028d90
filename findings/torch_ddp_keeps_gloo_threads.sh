#!/bin/sh
# torch.distributed.destroy_process_group ends the threads of gloo, unless a DistributedDataParallel has been made before, even
# if it no longer exists. Its constructor imports torch._dynamo, which imports torch.distributed.nn.functional, whose functions
# have the default argument `group=group.WORLD`. It is evaluated at the import, so the group lives as long as the module.
# Threads that outlive their group can abort a process while Python ends.
#
# Versions: torch 2.13.0 (CPU); Python 3.11, x86_64.
#
# Remedy: `import torch.distributed.nn` before init_process_group.
#
# Output seen:
#   no DistributedDataParallel: 0 threads of gloo after destroy_process_group
#   DistributedDataParallel, deleted: 3 threads of gloo after destroy_process_group
#   DistributedDataParallel, torch.distributed.nn imported first: 0 threads of gloo after destroy_process_group
#
# Exits with 0 while this holds, with 1 once it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
cat > "$folder/threads.py" <<'PY'
import gc
import sys
from pathlib import Path

import torch
from torch import distributed, nn

what, store = sys.argv[1:]
if what.endswith("first"):
    import torch.distributed.nn
distributed.init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=1)
if what.startswith("D"):
    model = nn.parallel.DistributedDataParallel(nn.Linear(2, 2))
    model(torch.ones(1, 2)).sum().backward()
    del model
gc.collect()
distributed.destroy_process_group()
names = [task.read_text() for task in Path("/proc/self/task").glob("*/comm")]
left = sum("gloo" in name for name in names)
print(f"{what}: {left} threads of gloo after destroy_process_group", flush=True)
sys.exit(10 + left)
PY
seen=""
number=0
for what in "no DistributedDataParallel" "DistributedDataParallel, deleted" \
    "DistributedDataParallel, torch.distributed.nn imported first"; do
    number=$((number + 1))
    code=0
    "$folder/venv/bin/python" "$folder/threads.py" "$what" "$folder/store$number" || code=$?
    seen="$seen $code"
done
case "$seen" in
" 10 1"[1-9]" 10") exit 0 ;;
*) exit 1 ;;
esac
