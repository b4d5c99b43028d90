"""Denormal numbers count as zero: in this thread, in what it starts, and nowhere else."""

import onnxruntime

SETTING = "session.set_denormal_as_zero"
# A graph that gives its input: x -> Identity -> y, both float [1].
_IDENTITY = bytes.fromhex(
    "080812003a370a100a017812017922084964656e746974791201675a0f0a0178120a0a08080112040a02080162"
    "0f0a0179120a0a08080112040a02080142040a001011"
)


def flush_denormals() -> None:
    """Let denormal numbers count as zero in this thread and in those that it starts, numpy included.

    ONNX Runtime sets that for the thread that opens the first session of a process, and never again. A thread that is
    started later takes it from the one that starts it. So this has to be called before any session is opened, by what
    starts the thread that ticks; a policy may then be loaded in another thread.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry(SETTING, "1")
    onnxruntime.InferenceSession(_IDENTITY, options, providers=["CPUExecutionProvider"])
