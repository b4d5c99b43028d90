"""Execution providers: the options that ONNX Runtime is given, engines in their folders, the choice of a binding."""

import mmap
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.testing import assert_array_equal
from policy_files import write_mixture, write_policy

from vdd_ros.cli.main import main
from vdd_ros.errors import ConfigurationError, PolicyFileError, ProviderError
from vdd_ros.policy import binding, providers
from vdd_ros.policy import onnx_session as session
from vdd_ros.policy.binding import BoundArrays
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.policy.onnx_session import open_session
from vdd_ros.policy.providers import EngineCache, ProviderSettings, provider_options

OBSERVATION = np.array([[0.4, 0.1, 0.5, 0.2]])
GPU = {"cuda": ["CUDAExecutionProvider"], "tensorrt": ["TensorrtExecutionProvider", "CUDAExecutionProvider"]}
REAL = onnxruntime.InferenceSession


class FakeGpu:
    """Sessions that say they were granted what was asked, but run on the CPU; they keep what they were given.

    TensorRT leaves an engine in its folder, as the real one does, unless that is there already.
    """

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.loaded: list[str] = []

    def __call__(self, path: str, options: Any, providers: list[Any], **_: Any) -> Any:
        real = REAL(path, options, providers=["CPUExecutionProvider"])
        if providers == ["CPUExecutionProvider"]:
            return real
        self.asked.append(providers)
        granted = dict(providers)
        if trt := granted.get("TensorrtExecutionProvider"):
            (Path(trt["trt_engine_cache_path"]) / "graph_sm90.engine").touch()
        return SimpleNamespace(
            io_binding=real.io_binding,
            run_with_iobinding=real.run_with_iobinding,
            get_providers=lambda: [*granted, "CPUExecutionProvider"],
            get_provider_options=lambda: granted,
        )


@pytest.fixture
def fake_gpu(monkeypatch: pytest.MonkeyPatch) -> FakeGpu:
    """A GPU whose memory is that of the host."""
    fake = FakeGpu()
    on_host = onnxruntime.OrtValue.ortvalue_from_shape_and_type
    value = SimpleNamespace(
        ortvalue_from_numpy=onnxruntime.OrtValue.ortvalue_from_numpy,
        ortvalue_from_shape_and_type=lambda shape, kind, device, number: on_host(shape, kind),
    )
    monkeypatch.setattr(onnxruntime, "InferenceSession", fake)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: fake.loaded.append("cuda"))
    monkeypatch.setattr(session, "import_module", fake.loaded.append)
    monkeypatch.setattr(onnxruntime, "OrtValue", value)
    for module in (binding, session):
        monkeypatch.setattr(module, "ignore_recordings_elsewhere", lambda: None)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [*GPU["tensorrt"], "CPUExecutionProvider"])
    return fake


def test_the_cpu_touches_nothing_of_cuda(tmp_path: Path) -> None:
    """A process of its own, and what it has mapped after acting."""
    program = (
        "import sys, numpy as np\n"
        "from vdd_ros.policy.onnx_policy import OnnxPolicy\n"
        "policy = OnnxPolicy.load(sys.argv[1])\n"
        "policy.warm_up(); policy.act(np.zeros((1, 4)))\n"
        "print(policy._session.get_providers(), policy.binding)\n"
        "print(open('/proc/self/maps').read())"
    )
    path = write_mixture(tmp_path / "p.onnx")
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    granted, maps = done.stdout.split("\n", 1)
    assert granted == "['CPUExecutionProvider'] host"
    assert "libonnxruntime" in maps or "onnxruntime_pybind11" in maps
    for library in (
        "libcuda",
        "libcudart",
        "libcublas",
        "libcudnn",
        "libnvinfer",
        "providers_cuda",
        "providers_tensorrt",
    ):
        assert library not in maps


@pytest.mark.parametrize(("provider", "loaded"), [("cpu", []), ("cuda", ["cuda"]), ("tensorrt", ["cuda", "tensorrt"])])
def test_libraries_that_pip_installs_are_loaded_for_gpus_only(
    tmp_path: Path, fake_gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch, provider: str, loaded: list[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    OnnxPolicy.load(write_mixture(tmp_path / "p.onnx"), provider=provider)
    assert fake_gpu.loaded == loaded


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_without_a_gpu_it_is_refused(tmp_path: Path, provider: str) -> None:
    if cuda_works(tmp_path):
        pytest.skip("there is a GPU here")
    with pytest.raises(ProviderError, match=f"'{provider}' was not granted"):
        OnnxPolicy.load(write_mixture(tmp_path / "p.onnx"), provider=provider)


def test_options_for_cuda(tmp_path: Path, fake_gpu: FakeGpu) -> None:
    OnnxPolicy.load(write_mixture(tmp_path / "p.onnx"), provider=ProviderSettings("cuda", device_id=2, cuda_graph=True))
    options = {"device_id": "2", "use_tf32": "0", "enable_cuda_graph": "1"}
    assert fake_gpu.asked == [[("CUDAExecutionProvider", options)]]


def test_options_for_tensorrt(tmp_path: Path, fake_gpu: FakeGpu) -> None:
    """Shapes of every input, with a batch of one."""
    path = write_mixture(tmp_path / "p.onnx", history=3, horizon=5, goal_length=2)
    settings = ProviderSettings("tensorrt", device_id=1, engine_cache=str(tmp_path / "engines"), fp16=True)
    policy = OnnxPolicy.load(path, provider=settings)
    ((trt, options), (cuda, cuda_options)) = fake_gpu.asked[0]
    assert [trt, cuda] == GPU["tensorrt"]
    assert cuda_options == {"device_id": "1", "use_tf32": "0", "enable_cuda_graph": "0"}
    shapes = {options.pop(f"trt_profile_{which}_shapes") for which in ("min", "opt", "max")}
    assert [set(text.split(",")) for text in shapes] == [
        {"observation:1x3x4", "noise:1x5x2", "goal:1x2x4", "expert_uniform:1"}
    ]
    assert options == {
        "device_id": "1",
        "trt_fp16_enable": "1",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(policy.engine_folder),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(tmp_path / "engines" / "timing"),
    }


def test_every_option_is_known_to_the_provider_s_library() -> None:
    """A provider refuses unknown names, which shows only on a GPU; its library holds the names as text."""
    folder = Path(onnxruntime.__file__).parent / "capi"
    cache: Any = SimpleNamespace(folder=Path("a"), timing=Path("b"))
    for provider, options in provider_options(ProviderSettings("tensorrt"), {"observation": (1, 4)}, cache):
        library = folder / f"libonnxruntime_providers_{provider.removesuffix('ExecutionProvider').lower()}.so"
        if not library.exists():
            pytest.skip("this ONNX Runtime was built without it")
        with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            assert [name for name in options if content.find(name.encode()) < 0] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "tpu"}, "'tpu' is unknown; use one of cpu, cuda, tensorrt"),
        ({"name": "cuda", "device_id": -1}, "device_id is -1"),
        ({"fp16": True}, "fp16 is for the provider 'tensorrt', but the provider is 'cpu'"),
        ({"name": "tensorrt", "cuda_graph": True}, "cuda_graph is for the provider 'cuda'"),
    ],
)
def test_settings_that_are_not_allowed_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ProviderSettings(**options)


def test_tensorrt_without_cuda_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["TensorrtExecutionProvider"])
    with pytest.raises(ProviderError, match="has only TensorrtExecutionProvider, not CUDAExecutionProvider"):
        OnnxPolicy.load(write_mixture(tmp_path / "p.onnx"), provider="tensorrt")


def test_a_bad_file_is_an_error_of_the_file_on_a_gpu_too(tmp_path: Path, fake_gpu: FakeGpu) -> None:
    """Before anything is built."""
    path = tmp_path / "p.onnx"
    path.write_text("no policy")
    with pytest.raises(PolicyFileError, match="cannot be read as ONNX"):
        OnnxPolicy.load(path, provider="tensorrt")
    assert fake_gpu.asked == []


def test_policies_that_differ_in_weights_only_have_engines_of_their_own(tmp_path: Path, fake_gpu: FakeGpu) -> None:
    settings = ProviderSettings("tensorrt", engine_cache=str(tmp_path / "engines"))
    one, other = (write_mixture(tmp_path / f"{seed}.onnx", seed=seed) for seed in (0, 1))
    first, second, again = (OnnxPolicy.load(path, provider=settings) for path in (one, other, one))
    assert first.engine_folder == again.engine_folder != second.engine_folder
    assert [policy.engines_built for policy in (first, second, again)] == [["graph_sm90.engine"]] * 2 + [[]]


def test_engines_stand_in_the_cache_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = 64 * "a"
    for variable, value, base in (
        ("XDG_CACHE_HOME", str(tmp_path / "x"), tmp_path / "x"),
        ("HOME", str(tmp_path / "h"), tmp_path / "h" / ".cache"),
    ):
        monkeypatch.setenv("XDG_CACHE_HOME", "")
        monkeypatch.setenv(variable, value)
        assert providers.default_cache() == base / "vdd_ros" / "engines"
        assert EngineCache(ProviderSettings("tensorrt"), policy).folder.is_relative_to(base / "vdd_ros" / "engines")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"engine_cache .*file cannot be used"):
        EngineCache(ProviderSettings("tensorrt", engine_cache=str(tmp_path / "file")), policy)


@pytest.mark.parametrize("kind", ["vdd", "ddpm", "cd"])
def test_both_ways_of_binding_give_the_same_answer(tmp_path: Path, fake_gpu: FakeGpu, kind: str) -> None:
    path = write_policy(tmp_path / "p.onnx", kind)
    expected = OnnxPolicy.load(path, seed=3).act(OBSERVATION).action.copy()
    for way in ("host", "device"):
        policy = OnnxPolicy.load(path, provider="cuda", seed=3)
        policy._single._use(way)
        assert_array_equal(policy.act(OBSERVATION).action, expected)
    assert len(policy.act_batch(np.tile(OBSERVATION, (3, 1, 1))).action) == 3


def test_a_gpu_that_fails_is_not_blamed_on_the_file_alone(
    tmp_path: Path, fake_gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx"), provider="cuda")

    def fail() -> None:
        raise RuntimeError("cudaErrorUnknown")

    monkeypatch.setattr(policy._single, "_run", fail)
    with pytest.raises(
        ProviderError, match=r"failed with the CUDAExecutionProvider \(cudaErrorUnknown\)\. Try .*'cpu'"
    ):
        policy.act(OBSERVATION)


@pytest.mark.parametrize("faster", ["host", "device"])
def test_the_faster_way_of_binding_is_kept(
    tmp_path: Path, fake_gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch, faster: str
) -> None:
    """By the median of runs in turns: one slow run of the faster way does not count."""
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx"), provider="cuda")
    now, runs = [0.0], []

    def way(name: str) -> Callable[[], None]:
        def run() -> None:
            runs.append(name)
            now[0] += 1.0 if name == faster else 2.0
            now[0] += 50.0 if runs.count(name) == 4 and name == faster else 0.0

        return run

    monkeypatch.setattr(binding, "perf_counter", lambda: now[0])
    policy._single._bindings = {name: way(name) for name in policy._single._bindings}
    policy.warm_up(2)
    assert policy.binding == faster
    assert policy.binding_run_s == {"host": 2.0, "device": 2.0} | {faster: 1.0}
    assert runs[:4] == ["host", "device", "host", "device"]


def test_on_the_cpu_there_is_nothing_to_choose(tmp_path: Path) -> None:
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx"))
    assert list(policy._single._bindings) == ["host"]
    policy.warm_up()
    assert (policy.binding, policy.engine_folder, policy.engines_built) == ("host", None, [])


def test_a_recorded_graph_is_bound_to_the_device_alone(tmp_path: Path, fake_gpu: FakeGpu) -> None:
    """Batches, which are not recorded, are bound to the host."""
    settings = ProviderSettings("cuda", cuda_graph=True)
    opened = open_session(write_mixture(tmp_path / "p.onnx"), provider=settings, intra_op_threads=1, inter_op_threads=1)
    assert [BoundArrays(opened.session, opened.spec, batch).binding for batch in (1, 2)] == ["device", "host"]


def test_prebuild_tells_times_and_engines(
    tmp_path: Path, fake_gpu: FakeGpu, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_mixture(tmp_path / "p.onnx")
    words = ["prebuild", str(path), "--provider", "tensorrt", "--cache", str(tmp_path / "engines"), "--runs", "5"]
    for word in ("built", "found"):
        assert main(words) == 0
        shown = capsys.readouterr().out
        assert " us by host, " in shown
        assert " us by device)" in shown
        assert f"{word}       graph_sm90.engine" in shown
        assert str(tmp_path / "engines") in shown


def test_prebuild_on_the_cpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "r.json"
    assert main(["prebuild", str(write_mixture(tmp_path / "p.onnx")), "--runs", "5", "--json", str(report)]) == 0
    shown = capsys.readouterr().out
    assert "first run" in shown
    assert "engine" not in shown
    assert '"binding": "host"' in report.read_text()
    assert main(["prebuild", str(tmp_path / "p.onnx"), "--fp16"]) == 2


def cuda_works(tmp_path: Path) -> bool:
    """Whether CUDA is granted here."""
    try:
        OnnxPolicy.load(write_mixture(tmp_path / "cuda.onnx"), provider="cuda")
    except ProviderError:
        return False
    return True
