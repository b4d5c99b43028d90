"""CUDA in one thread while another thread records a graph of kernels."""

from ctypes import CDLL, byref, c_int
from threading import local

from vdd_ros.errors import ProviderError

_DRIVER = "libcuda.so.1"
_THREAD_LOCAL_MODE = 1
_thread = local()


def ignore_recordings_elsewhere() -> None:
    """Let this thread copy and allocate memory of a GPU while another thread records; quick, but for a thread's first.

    With `cuda_graph`, ONNX Runtime records the kernels of a session in one of its first runs, in the mode in which CUDA
    forbids copies to the whole process meanwhile and spoils the recording if there are some: so a policy could not be
    loaded beside another one that acts. The mode of the other thread settles whether it is concerned (CUDA driver API,
    cuThreadExchangeStreamCaptureMode).

    Raises:
        ProviderError: CUDA's driver is not there or refuses.
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
