"""CUDA in one thread while another records a graph of kernels."""

from ctypes import CDLL, byref, c_int
from threading import local

from vdd_ros.errors import ProviderError

_DRIVER = "libcuda.so.1"
_THREAD_LOCAL_MODE = 1
_thread = local()


def ignore_recordings_elsewhere() -> None:
    """Let this thread copy and allocate GPU memory while another records; cheap after a thread's first call.

    With `cuda_graph`, ONNX Runtime records a session's kernels in one of its first runs, in a mode in which CUDA
    forbids copies in the whole process and invalidates the recording if any occur. A policy could then not be loaded
    while another one runs. The capture mode of the other thread decides whether it is affected (CUDA driver API,
    cuThreadExchangeStreamCaptureMode).

    Raises:
        ProviderError: CUDA's driver is missing or refuses.
    """
    if getattr(_thread, "ignores", False):
        return
    try:
        driver = CDLL(_DRIVER)
    except OSError as error:
        raise ProviderError(f"CUDA's driver cannot be loaded: {error}") from error
    code = driver.cuInit(0) or driver.cuThreadExchangeStreamCaptureMode(byref(c_int(_THREAD_LOCAL_MODE)))
    if code:
        raise ProviderError(f"CUDA's driver refused with CUresult {code}")
    _thread.ignores = True
