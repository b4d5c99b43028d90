#!/bin/sh
# torch.onnx.export (dynamo=False) writes a tensor of a module that is not in its state_dict, a plain attribute as well as a
# buffer with persistent=False, into the file once for each operator that reads it; a persistent buffer is there once. So a
# network that runs several times in one graph, such as the sampling steps of a diffusion policy, multiplies such weights.
# The model computes the same, and nothing warns.
#
# Versions: torch 2.13.0 (CPU), onnx 1.23.2; Python 3.11, x86_64.
#
# Remedy: register what several passes share as persistent buffers.
#
# Output seen:
#   a weight of 262,144 bytes, read by 8 products
#   attribute: 8 in the file, 2,098,936 bytes
#   buffer, not persistent: 8 in the file, 2,098,936 bytes
#   buffer: 1 in the file, 263,213 bytes
#   all compute the same: True
#
# Exits with 0 while this holds, with 1 once it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6 onnx==1.23.2
cat > "$folder/export.py" <<'PY'
import io
import sys
import warnings

import onnx
import torch

SIZE, STEPS = 256, 8
weight = torch.randn(SIZE, SIZE) / SIZE


class Steps(torch.nn.Module):
    def __init__(self, kind):
        super().__init__()
        if kind == "attribute":
            self.weight = weight.clone()
        else:
            self.register_buffer("weight", weight.clone(), persistent=kind == "buffer")

    def forward(self, x):
        for _ in range(STEPS):
            x = torch.relu(x @ self.weight)
        return x


def exported(kind):
    file, model = io.BytesIO(), Steps(kind).eval()
    x = torch.ones(1, SIZE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (x,), file, dynamo=False)
    graph = onnx.load_from_string(file.getvalue()).graph
    constants = [node.attribute[0].t for node in graph.node if node.op_type == "Constant"]
    copies = sum(len(one.raw_data) == weight.nbytes for one in (*graph.initializer, *constants))
    return copies, len(file.getvalue()), model(x)


print(f"a weight of {weight.nbytes:,} bytes, read by {STEPS} products")
found = {kind: exported(kind) for kind in ("attribute", "buffer, not persistent", "buffer")}
for kind, (copies, size, _) in found.items():
    print(f"{kind}: {copies} in the file, {size:,} bytes")
first, *others = (result for _, _, result in found.values())
print("all compute the same:", all(torch.equal(first, other) for other in others))
sys.exit(0 if [copies for copies, _, _ in found.values()] == [STEPS, STEPS, 1] else 1)
PY
"$folder/venv/bin/python" "$folder/export.py"
