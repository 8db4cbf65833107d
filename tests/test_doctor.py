"""``nst doctor``: what it finds, what it calls a problem, and which remedy it names."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest
from safetensors.torch import save_file
from typer.testing import CliRunner, Result

import nst.commands.examination
import nst.weights
from nst.cli import app
from nst.commands.examination import (
    CORE,
    Fact,
    devices,
    packages,
    providers,
    try_provider,
    weights,
)
from nst.ort import has_nvidia_gpu

if TYPE_CHECKING:
    from nst.weights import VGGWeights

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"

HEALTHY = dict.fromkeys([*CORE, "onnxruntime-gpu", "opencv-python", "av", "matplotlib"], "1.0")


def doctor(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["doctor", *arguments])


def replace(monkeypatch: pytest.MonkeyPatch, name: str, value: object) -> None:
    monkeypatch.setattr(nst.commands.examination, name, value)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Versions by distribution, for a test to change; the real ones do not count."""
    found = dict(HEALTHY)
    replace(monkeypatch, "_version", lambda name: found.get(name, ""))
    return found


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make ONNX Runtime list providers, of which some do not work, with or without a GPU."""

    def make(names: list[str], broken: dict[str, str], *, has_gpu: bool) -> None:
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
        replace(monkeypatch, "try_provider", lambda name: broken.get(name, ""))
        replace(monkeypatch, "load_cuda_libraries", lambda: "")
        replace(monkeypatch, "has_nvidia_gpu", lambda: has_gpu)

    return make


@pytest.fixture
def vgg_file(tmp_path: Path, tiny_vgg: VGGWeights) -> Path:
    """Weights that stop at conv1_2."""
    path = tmp_path / "vgg.safetensors"
    kept = {name: t for name, t in tiny_vgg.tensors.items() if name.startswith("conv1_")}
    save_file(kept, path)
    return path


def fact(facts: list[Fact], name: str) -> Fact:
    (found,) = [f for f in facts if f.name == name]
    return found


# --- the command ---------------------------------------------------------------------------------


def test_the_whole_examination(
    vgg_file: Path,
    installed: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Everything real but the list of packages; not a line of ONNX Runtime's own."""
    monkeypatch.setenv("NST_VGG19", str(vgg_file))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    done = doctor()
    assert done.exit_code == 0, done.stdout
    lines = done.stdout.splitlines()
    assert "   CPU              works" in lines
    assert any(line.startswith("   $NST_VGG19") for line in lines)
    assert lines[-1] == "nothing to repair"
    assert done.stderr == ""
    assert capfd.readouterr() == ("", "")  # written past Python, by a library
    assert set(installed) == set(HEALTHY)


@pytest.fixture
def sections(monkeypatch: pytest.MonkeyPatch) -> None:
    """One heading, one fact that is fine and one that is not."""
    facts = [Fact("torch", "2.15.0"), Fact("cv2", "broken", "pip install opencv-python")]
    replace(monkeypatch, "examine", lambda: {"packages": facts})


@pytest.mark.usefixtures("sections")
def test_problems_are_repeated_with_their_remedy() -> None:
    """By hand, the whole page."""
    done = doctor()
    assert done.exit_code == 1
    assert done.stdout == (
        "packages\n"
        "   torch  2.15.0\n"
        " ! cv2    broken\n"
        "\n"
        "1 to repair\n"
        " ! packages, cv2: broken\n"
        "   pip install opencv-python\n"
    )


@pytest.mark.usefixtures("sections")
def test_json() -> None:
    done = doctor("--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout) == {
        "healthy": False,
        "facts": {"packages": {"torch": "2.15.0", "cv2": "broken"}},
        "problems": [
            {
                "section": "packages",
                "name": "cv2",
                "found": "broken",
                "remedy": "pip install opencv-python",
            }
        ],
    }


# --- packages ------------------------------------------------------------------------------------


def test_a_healthy_installation_has_no_problem(installed: dict[str, str]) -> None:
    assert [f.name for f in packages() if f.remedy] == []
    assert fact(packages(), "onnxruntime-gpu").value == "1.0"


def test_two_runtimes_are_a_problem(installed: dict[str, str]) -> None:
    """The two write one folder; the remedy removes both, since removing one breaks the other."""
    installed["onnxruntime"] = "1.32.0"
    found = fact(packages(), "onnxruntime + onnxruntime-gpu")
    assert found.remedy == (
        "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu"
    )


def test_two_opencvs_are_a_problem(installed: dict[str, str]) -> None:
    installed["opencv-python-headless"] = "4.11"
    found = fact(packages(), "opencv-python + opencv-python-headless")
    assert found.remedy == (
        "pip uninstall -y opencv-python opencv-python-headless && pip install opencv-python"
    )


def test_a_missing_extra_is_no_problem(installed: dict[str, str]) -> None:
    for name in ("av", "opencv-python", "matplotlib"):
        del installed[name]
    found = packages()
    assert [f for f in found if f.remedy] == []
    assert fact(found, "av").value == "not installed (pip install av)"
    assert fact(found, "opencv-python").value == "not installed (pip install opencv-python)"


@pytest.mark.parametrize("name", ["torch", "datasets", "pillow"])
def test_a_missing_core_package_is_a_problem(name: str, installed: dict[str, str]) -> None:
    del installed[name]
    assert fact(packages(), name) == Fact(name, "not installed", f"pip install {name}")


def test_no_runtime_at_all_is_a_problem(installed: dict[str, str]) -> None:
    del installed["onnxruntime-gpu"]
    assert fact(packages(), "onnxruntime").remedy == "pip install onnxruntime"


@pytest.mark.usefixtures("installed")
def test_a_package_that_cannot_be_imported_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a server without libGL, where OpenCV is installed and useless."""
    reason = "libGL.so.1: cannot open shared object file"
    (tmp_path / "cv2.py").write_text(f"raise ImportError({reason!r})")
    (tmp_path / "av.py").write_text("import os; os.abort()")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = packages()
    assert fact(found, "cv2").value == f"cannot be imported ({reason})"
    assert fact(found, "cv2").remedy == "pip install --force-reinstall opencv-python"
    av = next(f for f in found if f.name == "av" and f.remedy)
    assert "the process ends with " in av.value


def test_opencv_and_pyav_never_meet() -> None:
    """In a fresh interpreter: the two in one process can freeze it (opencv/opencv#21952)."""
    code = (
        "import sys; from nst.commands.examination import packages; packages();"
        "print([m for m in ('av', 'cv2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


def test_every_package_that_nst_needs_is_looked_at() -> None:
    """By another list: the dependencies of the project, ONNX Runtime apart, which has rules."""
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
    needed = {re.split(r"[\[><=;]", line)[0] for line in project["project"]["dependencies"]}
    assert needed - {"onnxruntime", "onnxruntime-gpu"} == set(CORE)


# --- providers -----------------------------------------------------------------------------------


def test_the_cpu_works() -> None:
    """By running it: nine ones make 9."""
    assert try_provider(CPU) == ""


def test_a_runtime_that_cannot_be_imported_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (found,) = providers()
    assert found.value.startswith("cannot be imported (")
    assert found.remedy == "pip install --force-reinstall onnxruntime"


class FakeSession:
    """Stands for ONNX Runtime where the hardware is not at hand."""

    obtained = CUDA
    total = 9.0

    def __init__(self, names: list[str]) -> None:
        assert names == [CUDA]  # alone, or the CPU could help out

    def get_providers(self) -> list[str]:
        return [self.obtained, CPU]

    def run(self, names: None, feeds: dict[str, Any]) -> list[Any]:
        return [np.full((1, 1, 2, 2), self.total, dtype=np.float32)]


@pytest.mark.parametrize(
    ("obtained", "total", "reason"),
    [
        (CUDA, 9.0, ""),
        (CPU, 9.0, "a session gets CPU in its place"),
        (CUDA, 8.0, "it computes 8 for a sum of nine ones"),
    ],
)
def test_a_provider_is_believed_only_when_it_computes(
    obtained: str, total: float, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeSession, "obtained", obtained)
    monkeypatch.setattr(FakeSession, "total", total)
    replace(monkeypatch, "create_session", lambda model, names: FakeSession(names))
    assert try_provider(CUDA) == reason


def test_a_provider_that_raises_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """The places in C++ are left out of what ONNX Runtime says."""

    def fail(*arguments: object, **options: object) -> None:
        raise RuntimeError("/onnxruntime_src/a/b.cc:729 void f(x&, y) Please install\nTensorRT.")

    monkeypatch.setattr(onnxruntime, "InferenceSession", fail)
    assert try_provider("TensorrtExecutionProvider") == "Please install TensorRT."


def test_cuda_that_does_not_work_beside_a_gpu_is_a_problem(listed: Callable[..., None]) -> None:
    listed([CUDA, CPU], {CUDA: "a session gets CPU in its place"}, has_gpu=True)
    cuda, cpu = providers()
    assert cuda.value == "listed but does not work (a session gets CPU in its place)"
    assert "onnxruntime-gpu[cuda,cudnn]" in cuda.remedy
    assert cpu == Fact("CPU", "works")


def test_cuda_without_a_gpu_is_no_problem(listed: Callable[..., None]) -> None:
    listed([CUDA, CPU], {CUDA: "a session gets CPU in its place"}, has_gpu=False)
    assert providers()[0] == Fact("CUDA", "listed but does not work (no NVIDIA GPU here)")


def test_a_gpu_that_the_runtime_does_not_list_is_a_problem(listed: Callable[..., None]) -> None:
    """The CPU's distribution beside an NVIDIA GPU."""
    listed([CPU], {}, has_gpu=True)
    assert fact(providers(), "CUDA").remedy == (
        "pip uninstall -y onnxruntime && pip install 'onnxruntime-gpu[cuda,cudnn]'"
    )


def test_a_cpu_that_does_not_work_is_a_problem(listed: Callable[..., None]) -> None:
    listed([CPU], {CPU: "it computes 8 for a sum of nine ones"}, has_gpu=False)
    assert providers()[0].remedy == "pip install --force-reinstall onnxruntime"


@pytest.mark.parametrize("value", ["", "-1"])
def test_a_hidden_gpu_does_not_count(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert not has_nvidia_gpu()


# --- torch and weights ---------------------------------------------------------------------------


def test_the_cpu_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(nst.commands.examination, "has_nvidia_gpu", lambda: False)
    found = fact(devices(), "cpu")
    assert found.value.startswith(f"{torch.get_num_threads()} threads on ")
    assert not found.remedy


def test_weights_of_the_environment(vgg_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hash by another implementation."""
    monkeypatch.setenv("NST_VGG19", str(vgg_file))
    digest = hashlib.sha256(vgg_file.read_bytes()).hexdigest()
    assert weights() == [
        Fact("$NST_VGG19", f"{vgg_file}: layers up to relu1_2, SHA-256 {digest[:12]}")
    ]


def test_weights_that_cannot_be_read_are_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NST_VGG19", str(tmp_path / "none.safetensors"))
    (found,) = weights()
    assert "none.safetensors: no such file" in found.value
    assert "$NST_VGG19" in found.remedy


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where torchvision's file would be, in an empty cache."""
    import torch

    monkeypatch.delenv("NST_VGG19", raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    return tmp_path / "checkpoints" / "vgg19-dcbb9e9d.pth"


def test_weights_that_would_be_downloaded(cache: Path) -> None:
    """Said, not done."""
    assert weights() == [Fact("torchvision", f"not there yet; would download 548 MB to {cache}")]
    assert not cache.parent.exists()


def test_weights_in_the_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a hash that begins as the file's name says, and with another."""
    cache.parent.mkdir()
    cache.write_bytes(b"weights")
    (found,) = weights()
    assert "damaged" in found.value
    assert found.remedy == "delete the file"
    monkeypatch.setattr(nst.weights, "sha256_of", lambda path: nst.weights.TORCHVISION_SHA256)
    assert weights() == [Fact("torchvision", f"{cache}: its hash is right")]


# --- computer ------------------------------------------------------------------------------------


def test_without_psutil_the_other_facts_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    found = nst.commands.examination.computer()
    assert fact(found, "memory") == Fact("memory", "not known without psutil")
    assert "GB free here" in fact(found, "disk").value


@pytest.mark.parametrize("name", ["DISPLAY", "WAYLAND_DISPLAY"])
def test_a_display_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for variable in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(variable, raising=False)
    assert fact(nst.commands.examination.computer(), "display").value.startswith("none")
    monkeypatch.setenv(name, ":7")
    assert fact(nst.commands.examination.computer(), "display").value == f"${name} is :7"
