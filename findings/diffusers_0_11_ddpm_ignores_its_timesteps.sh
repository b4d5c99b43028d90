#!/bin/sh
# diffusers 0.11.1, the release that diffusion_policy pins: DDPMScheduler with fewer inference steps than training steps
# goes from t to t - 1 at each of them, although its list of timesteps jumps by 12. Eight steps of 100 so remove the noise
# of eight neighbouring levels only: actions come out seven times too spread. Its list also has nine entries where eight
# were asked for. In diffusers 0.35.2 the same calls follow the list. Nothing warns in either.
#
# The network here is perfect for actions of deviation 0.1: it returns the expectation of the noise.
#
# Versions: diffusers 0.11.1 with huggingface_hub 0.25.2, diffusers 0.35.2 with huggingface_hub 0.36.2; torch 2.13.0 (CPU),
# numpy 1.26.4; Python 3.11, x86_64.
#
# Remedy: sample such a checkpoint with all 100 steps, or with DDIM, which follows its list in both.
#
# Output seen:
#   diffusers 0.11.1, DDPM, 100 of 100 steps: 100 in the list, deviation 0.09
#   diffusers 0.11.1, DDPM, 8 of 100 steps: 9 in the list, deviation 0.69
#   diffusers 0.11.1, DDIM, 8 of 100 steps: 8 in the list, deviation 0.06
#   diffusers 0.35.2, DDPM, 100 of 100 steps: 100 in the list, deviation 0.09
#   diffusers 0.35.2, DDPM, 8 of 100 steps: 8 in the list, deviation 0.05
#   diffusers 0.35.2, DDIM, 8 of 100 steps: 8 in the list, deviation 0.06
#
# Exits with 0 while this holds, with 1 once it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/sample.py" <<'PY'
import diffusers
import torch
from diffusers import DDIMScheduler, DDPMScheduler

DEVIATION = 0.1
for kind, steps in ((DDPMScheduler, 100), (DDPMScheduler, 8), (DDIMScheduler, 8)):
    scheduler = kind(num_train_timesteps=100, beta_schedule="squaredcos_cap_v2", clip_sample=False)
    scheduler.set_timesteps(steps)
    torch.manual_seed(0)
    sample = torch.randn(100_000, 1)
    for t in scheduler.timesteps.tolist():
        left = scheduler.alphas_cumprod[t]
        noise = (1 - left).sqrt() * sample / (left * DEVIATION**2 + 1 - left)  # its expectation
        sample = scheduler.step(noise, t, sample).prev_sample
    print(
        f"diffusers {diffusers.__version__}, {kind.__name__.removesuffix('Scheduler')}, {steps} of 100 steps: "
        f"{len(scheduler.timesteps)} in the list, deviation {sample.std().item():.2f}"
    )
PY
python3 -m venv "$folder/venv"
for pins in "diffusers==0.11.1 huggingface_hub==0.25.2" "diffusers==0.35.2 huggingface_hub==0.36.2"; do
    "$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==1.26.4 $pins
    "$folder/venv/bin/python" "$folder/sample.py" >> "$folder/found"
done
cat "$folder/found"
grep '^#   diffusers' "$0" | cut -c5- > "$folder/expected"
if cmp -s "$folder/expected" "$folder/found"; then
    exit 0
fi
echo "changed" >&2
exit 1
