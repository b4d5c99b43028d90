"""The preset of tasks with contexts and contacts: networks without attention that predict chunks of actions."""

Settings = dict[str, object]


def chunked_mlp(
    *, teacher_steps: int, vdd_steps: int, mixture_steps: int, observation_noise: float = 0.03
) -> dict[str, Settings]:
    """Return settings of teachers and students by method, for `Task.presets`.

    On Pushing, chunks of four actions and many passes over the data took the teacher's success from 0.37 to 0.78; only
    the first action of a chunk is executed (docs/results.md).

    Args:
        teacher_steps: Training steps of the teacher.
        vdd_steps: Steps of VDD and of the other distillers; CD, whose steps take half as long, has twice as many.
        mixture_steps: Steps of EM and IMC, which learn from demonstrations.
        observation_noise: Deviation of the noise on observations, in standardised units.
    """
    batch: Settings = {"batch": 1024, "observation_noise": observation_noise}
    size = {**batch, "backbone": "mlp", "width": 128}
    chunk = 4
    windows = {"history": 2, "horizon": chunk}
    mixture = {**size, "layers": 3, "experts": 48}
    from_data = {**mixture, **windows, "steps": mixture_steps}
    jumps = {**batch, "levels_per_state": 1}
    return {
        "train": {**size, **windows, "levels_per_state": 1, "steps": teacher_steps},
        "vdd": {**mixture, "steps": vdd_steps, "pool_copies": 1, "pool_samples": 2},
        "cd": {**jumps, "steps": 2 * vdd_steps},
        **{name: {**jumps, "steps": vdd_steps} for name in ("ctm", "shortcut", "diff-instruct", "em-distil")},
        "srpo": {**size, "layers": 3, "steps": vdd_steps},
        "em": from_data,
        "imc": {**from_data, "eta": float(chunk)},  # the usual one for each action of a chunk
    }
