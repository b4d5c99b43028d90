#!/bin/sh
# torch.optim.Muon multiplies in bfloat16 on every device, also float32 parameters on a CPU, and has no option for it. Where a
# processor has no instructions for bfloat16 (x86 before AVX512-BF16 or AMX), a step takes far longer than the same iteration
# in float32; torch does not warn.
#
# Versions: torch 2.13.0 (CPU); Python 3.11, x86_64.
#
# Remedy: orthogonalise in float32 on a CPU.
#
# Output seen on an AMD EPYC with AVX2 alone (the times vary, the types do not):
#   CPU capability AVX2
#   parameters torch.float32, matrix products of a step in ['bfloat16']
#   a step takes 39 times as long as five iterations in float32
#
# Exits with 0 while this holds, with 1 once it has changed. The ratio is only printed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
cat > "$folder/muon.py" <<'PY'
import statistics
import sys
import time

import torch
from torch.utils._python_dispatch import TorchDispatchMode

torch.set_num_threads(1)
seen = set()


class Products(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function in (torch.ops.aten.mm.default, torch.ops.aten.addmm.default):
            seen.add(str(args[-1].dtype).removeprefix("torch."))
        return function(*args, **(kwargs or {}))


def iterate(x):
    x = x / x.norm()
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.775 * gram + 2.0315 * gram @ gram) @ x
    return x


def seconds(call):
    times = []
    for _ in range(9):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return statistics.median(times)


weight = torch.nn.Parameter(torch.randn(256, 256))
weight.grad = torch.randn(256, 256)
muon = torch.optim.Muon([weight])
with Products():
    muon.step()
ratio = seconds(muon.step) / seconds(lambda: iterate(weight.grad))
print("CPU capability", torch.backends.cpu.get_cpu_capability())
print(f"parameters {weight.dtype}, matrix products of a step in {sorted(seen)}")
print(f"a step takes {ratio:.0f} times as long as five iterations in float32")
sys.exit(0 if weight.dtype == torch.float32 and seen == {"bfloat16"} else 1)
PY
"$folder/venv/bin/python" "$folder/muon.py"
