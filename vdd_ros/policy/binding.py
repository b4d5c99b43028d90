"""Arrays bound to a session, so that a run allocates nothing; on a GPU with the faster binding."""

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from vdd_ros.errors import PolicyFileError, ProviderError
from vdd_ros.policy.cuda_recording import ignore_recordings_elsewhere
from vdd_ros.policy.providers import PROVIDERS
from vdd_ros.policy.signature import Tensor, graph_inputs, graph_outputs, numpy_type
from vdd_ros.policy.spec import PolicySpec

HOST, DEVICE = "host", "device"
ROUNDS = 15
_CUDA = "CUDAExecutionProvider"
_NOT_CAPTURED = "-1"

Arrays = dict[str, NDArray[Any]]


class BoundArrays:
    """Input and output arrays of one batch size, bound to a session.

    Binding is cheaper per run than a dictionary of arrays (about 24 against 30 us for 45 small operators).

    Attributes:
        batch: Number of observations per run.
        inputs: Arrays (batch, ...) by name; write into them before `run`.
        outputs: Arrays (batch, ...) by name; each `run` overwrites them.
        binding: `host`: these arrays are bound, and a GPU's session copies them itself. `device`: memory of the GPU is
            bound, and `run` copies.
        run_s: Median seconds of a run by binding; empty before `choose_binding`, or if only one exists.
    """

    def __init__(self, session: onnxruntime.InferenceSession, spec: PolicySpec, batch: int) -> None:
        def zeros(tensors: dict[str, Tensor]) -> Arrays:
            return {name: np.zeros((batch, *tensor.shape), numpy_type(tensor)) for name, tensor in tensors.items()}

        self.batch = batch
        self.inputs = zeros(graph_inputs(spec))
        self.outputs = zeros(graph_outputs(spec))
        self.run_s: dict[str, float] = {}
        self._bindings: dict[str, Callable[[], None]] = {}
        self._provider = session.get_providers()[0]
        on_gpu = self._provider not in PROVIDERS["cpu"]
        cuda = session.get_provider_options()[_CUDA] if on_gpu else {}
        graph = cuda.get("enable_cuda_graph") == "1"
        if not graph or batch > 1:  # a captured graph uses the same GPU memory at each run
            self._bindings[HOST] = _host_binding(session, self.inputs, self.outputs, copied=on_gpu)
        if on_gpu and batch == 1:
            self._bindings[DEVICE] = _device_binding(session, self.inputs, self.outputs, int(cuda["device_id"]))
        self._use(next(iter(self._bindings)))

    def run(self) -> None:
        """Compute the outputs from the inputs.

        Raises:
            PolicyFileError: An operator of the graph failed on the CPU.
            ProviderError: It failed on a GPU.
        """
        try:
            self._run()
        except Exception as error:  # ONNX Runtime's errors share no base class
            if self._provider in PROVIDERS["cpu"]:
                raise PolicyFileError(
                    f"The policy's graph failed ({error}). Copy the file or export it again."
                ) from error
            raise ProviderError(
                f"The policy's graph failed with the {self._provider} ({error}). Try the provider 'cpu': if the graph "
                f"runs there, the GPU or its libraries are at fault; otherwise copy the file or export it again."
            ) from error

    def choose_binding(self, rounds: int = ROUNDS) -> None:
        """Time both bindings in alternation and keep the one with the lower median; no-op if only one exists.

        Raises:
            PolicyFileError, ProviderError: As `run`.
        """
        if len(self._bindings) == 1:
            return
        times: dict[str, list[float]] = {name: [] for name in self._bindings}
        for _ in range(1 + rounds):
            for name, taken in times.items():
                self._use(name)
                start = perf_counter()
                self.run()
                taken.append(perf_counter() - start)
        self.run_s = {name: float(np.median(taken[1:])) for name, taken in times.items()}
        self._use(min(self.run_s, key=self.run_s.__getitem__))

    def _use(self, binding: str) -> None:
        self.binding, self._run = binding, self._bindings[binding]


def _host_binding(
    session: onnxruntime.InferenceSession, inputs: Arrays, outputs: Arrays, *, copied: bool
) -> Callable[[], None]:
    """Return the host binding of a session; `copied` if it reads inputs when they are bound."""
    binding = session.io_binding()
    values = {name: onnxruntime.OrtValue.ortvalue_from_numpy(array) for name, array in inputs.items()}
    for name, value in values.items():
        binding.bind_ortvalue_input(name, value)
    for name, array in outputs.items():
        binding.bind_ortvalue_output(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
    if not copied:
        return partial(session.run_with_iobinding, binding)
    options = onnxruntime.RunOptions()
    options.add_run_config_entry("gpu_graph_id", _NOT_CAPTURED)

    def run() -> None:
        ignore_recordings_elsewhere()
        for name, value in values.items():
            binding.bind_ortvalue_input(name, value)
        session.run_with_iobinding(binding, options)

    return run


def _device_binding(
    session: onnxruntime.InferenceSession, inputs: Arrays, outputs: Arrays, device_id: int
) -> Callable[[], None]:
    """Return the device binding of a session: fixed GPU memory, copied to and from the arrays."""
    binding = session.io_binding()

    def on_device(array: NDArray[Any]) -> onnxruntime.OrtValue:
        return onnxruntime.OrtValue.ortvalue_from_shape_and_type(array.shape, array.dtype.type, "cuda", device_id)

    given = [(on_device(array), array) for array in inputs.values()]
    found = [(on_device(array), array) for array in outputs.values()]
    for name, (value, _) in zip(inputs, given, strict=True):
        binding.bind_ortvalue_input(name, value)
    for name, (value, _) in zip(outputs, found, strict=True):
        binding.bind_ortvalue_output(name, value)

    def run() -> None:
        ignore_recordings_elsewhere()
        for value, array in given:
            value.update_inplace(array)
        session.run_with_iobinding(binding)
        for value, array in found:
            array[...] = value.numpy()

    return run
