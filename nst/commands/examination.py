"""What ``nst doctor`` looks at, as facts; a fact that needs repair carries its remedy."""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from nst import __version__
from nst.errors import WeightsError, in_one_line
from nst.ort import create_session, has_nvidia_gpu, load_cuda_libraries, words_of

CORE = (
    *("torch", "torchvision", "onnx", "onnxscript", "datasets", "pillow", "numpy", "safetensors"),
    *("huggingface_hub", "pyarrow", "tqdm", "typer", "rich", "psutil", "tifffile"),
)
EXTRAS = ("av", "matplotlib", "tensorboard", "fastapi", "uvicorn", "websockets")
RUNTIMES = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-directml",
    "onnxruntime-openvino",
    "onnxruntime-qnn",
)
"""Distributions that all write the folder ``onnxruntime``: with two, one works at best."""
OPENCVS = (
    "opencv-python",
    "opencv-contrib-python",
    "opencv-python-headless",
    "opencv-contrib-python-headless",
)
"""Distributions that all write the folder ``cv2``."""

NVIDIA = ("CUDAExecutionProvider", "TensorrtExecutionProvider")
"""Providers that nobody misses without such a GPU."""

IMPORT = """
import sys
try:
    import {}
except Exception as error:
    sys.exit(str(error))
"""
IMPORT_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that was looked at."""

    name: str
    value: str
    """What was found."""
    remedy: str = ""
    """What to do about it; empty when nothing needs to be done."""


def examine() -> dict[str, list[Fact]]:
    """Return all facts under their headings."""
    return {
        "packages": packages(),
        "onnx runtime": providers(),
        "torch": devices(),
        "vgg-19 weights, without --vgg": weights(),
        "computer": computer(),
    }


def packages() -> list[Fact]:
    """Return the versions, and which distributions stand in each other's way."""
    facts = [Fact("python", platform.python_version()), Fact("nst", __version__)]
    for name in CORE:
        found = _version(name)
        remedy = "" if found else f"pip install {name}"
        facts.append(Fact(name, found or "not installed", remedy))
    facts.append(_one_of(RUNTIMES, missing="pip install onnxruntime"))
    facts.append(_one_of(OPENCVS))
    facts += [
        Fact(name, _version(name) or f"not installed (pip install {name})") for name in EXTRAS
    ]
    for module, distribution in (("cv2", "opencv-python"), ("av", "av")):
        # Both carry libraries that want others from the system, libGL for one; and those of the
        # two must not meet in one process, see ``infer.camera``.
        if importlib.util.find_spec(module) and (reason := _why_not_imported(module)):
            facts.append(_broken(module, distribution, reason))
    return facts


def providers() -> list[Fact]:
    """Run a small model on each provider that ONNX Runtime lists."""
    if fault := _fault_of("onnxruntime", "onnxruntime") or _fault_of("onnx", "onnx"):
        return [fault]
    import onnxruntime

    listed = onnxruntime.get_available_providers()
    missing_library = load_cuda_libraries()
    facts = []
    for name in listed:
        reason = try_provider(name)
        if reason and name in NVIDIA:
            reason = (missing_library or reason) if has_nvidia_gpu() else "no NVIDIA GPU here"
        value = f"listed but does not work ({reason})" if reason else "works"
        remedy = ""
        if reason and name == "CUDAExecutionProvider" and has_nvidia_gpu():
            remedy = "pip install 'onnxruntime-gpu[cuda,cudnn]', and an NVIDIA driver for CUDA 13"
        elif reason and name == "CPUExecutionProvider":
            remedy = "pip install --force-reinstall onnxruntime"
        facts.append(Fact(_label(name), value, remedy))
    if has_nvidia_gpu() and "CUDAExecutionProvider" not in listed:
        remedy = "pip uninstall -y onnxruntime && pip install 'onnxruntime-gpu[cuda,cudnn]'"
        facts.append(Fact("CUDA", "not listed, though there is an NVIDIA GPU", remedy))
    return facts


def try_provider(name: str) -> str:
    """Run a convolution of nine ones on one provider alone.

    Args:
        name: As ONNX Runtime lists it.

    Returns:
        Why it does not work; empty when it does.
    """
    import numpy as np

    image = np.ones((1, 1, 4, 4), dtype=np.float32)
    try:
        session = create_session(_nine_ones(), [name])
        (sums,) = session.run(None, {"image": image})
    except Exception as error:  # the classes that ONNX Runtime raises have no common base
        return words_of(error)
    obtained = session.get_providers()[0]
    if obtained != name:
        return f"a session gets {_label(obtained)} in its place"
    if not np.allclose(sums, 9.0):
        return f"it computes {sums.flat[0]:g} for a sum of nine ones"
    return ""


def devices() -> list[Fact]:
    """Return where torch computes and in which precision it would train there."""
    if fault := _fault_of("torch", "torch"):
        return [fault]
    import torch

    from nst.runtime import choose_precision, fault_of_cuda

    def precision(device: str) -> str:
        has_bfloat16 = choose_precision("auto", torch.device(device)) == torch.bfloat16
        return "bfloat16" if has_bfloat16 else "no bfloat16 in hardware, float32 is used"

    threads = f"{torch.get_num_threads()} threads on {os.cpu_count()} cores"
    facts = [Fact("cpu", f"{threads}; {precision('cpu')}")]
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        gpu = torch.cuda.get_device_properties(index)
        device = f"cuda:{index}"
        memory = f"{gpu.total_memory / 1e9:.0f} GB"
        if words := fault_of_cuda(torch.device(device)):
            remedy = "install a torch that is built for it, see https://pytorch.org/get-started"
            facts.append(Fact(device, f"{gpu.name}: {words}", remedy))
            continue
        facts.append(Fact(device, f"{gpu.name}, {memory}; {precision(device)}"))
    if not torch.cuda.is_available():
        built_for = f"torch is built for CUDA {torch.version.cuda}"
        if not has_nvidia_gpu():
            facts.append(Fact("cuda", "none"))
        elif torch.version.cuda is None:
            remedy = "install torch with CUDA, see https://pytorch.org/get-started"
            facts.append(Fact("cuda", "an NVIDIA GPU, but torch is built without CUDA", remedy))
        else:
            remedy = f"update the NVIDIA driver, {built_for}"
            facts.append(Fact("cuda", "an NVIDIA GPU that torch cannot use", remedy))
    facts.append(Fact("mps", precision("mps") if torch.backends.mps.is_available() else "none"))
    return facts


def weights() -> list[Fact]:
    """Return where the weights of VGG-19 would come from without ``--vgg``."""
    if fault := _fault_of("torch", "torch") or _fault_of("torchvision", "torchvision"):
        return [fault]
    from nst.weights import (
        ENVIRONMENT,
        load_weights,
        torchvision_cache,
        torchvision_file,
        torchvision_url,
    )

    given = os.environ.get(ENVIRONMENT)
    name = f"${ENVIRONMENT}" if given else "torchvision"
    try:
        if given:
            found = load_weights(Path(given))
            layers = f"layers up to {found.deepest_layer}"
            return [Fact(name, f"{given}: {layers}, SHA-256 {found.sha256[:12]}")]
        target = torchvision_cache() / torchvision_url().rsplit("/", 1)[-1]
        if not target.is_file():
            return [Fact(name, f"not there yet; would download 548 MB to {target}")]
        return [Fact(name, f"{torchvision_file()}: its hash is right")]
    except WeightsError as error:
        remedy = f"set ${ENVIRONMENT} to a file that can be used" if given else "delete the file"
        return [Fact(name, str(error), remedy)]


def computer() -> list[Fact]:
    """Return memory, disk and whether a window can be opened."""
    disk, window = shutil.disk_usage(Path.cwd()), _display()
    return [
        Fact("system", f"{platform.system()} {platform.machine()}"),
        _memory(),
        Fact("disk", f"{disk.free / 1e9:.1f} of {disk.total / 1e9:.1f} GB free here"),
        Fact("display", window or "none, so nst webcam cannot open a window"),
    ]


def _memory() -> Fact:
    try:
        import psutil
    except ImportError:  # its remedy stands under the packages
        return Fact("memory", "not known without psutil")
    memory = psutil.virtual_memory()
    return Fact("memory", f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB free")


def _display() -> str:
    """Return how windows are shown, empty when they are not."""
    if sys.platform in ("win32", "darwin"):
        return "the system's own"
    for name in ("WAYLAND_DISPLAY", "DISPLAY"):
        if os.environ.get(name):
            return f"${name} is {os.environ[name]}"
    return ""


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def _one_of(names: Sequence[str], *, missing: str = "") -> Fact:
    """Return which of several distributions with one folder is there; two are a fault."""
    found = [name for name in names if _version(name)]
    if not found:
        hint = "" if missing else f" (pip install {names[0]})"
        return Fact(names[0], f"not installed{hint}", missing)
    if len(found) == 1:
        return Fact(found[0], _version(found[0]))
    # Uninstalling one removes files of the other, so both go.
    kept = found[-1] if names is RUNTIMES else found[0]
    return Fact(
        " + ".join(found),
        "installed over each other",
        f"pip uninstall -y {' '.join(found)} && pip install {kept}",
    )


def _fault_of(module: str, distribution: str) -> Fact | None:
    """Import a module and return what is wrong when that cannot be done."""
    try:
        importlib.import_module(module)
    except (ImportError, OSError, RuntimeError) as error:  # the last by libraries that do not match
        return _broken(module, distribution, words_of(error))
    return None


def _why_not_imported(module: str) -> str:
    """Import a module in a process of its own and return why that cannot be done, or nothing."""
    command = [sys.executable, "-c", IMPORT.format(module)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=IMPORT_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return f"it takes longer than {IMPORT_TIMEOUT_S} s"
    if done.returncode == 0:
        return ""
    return in_one_line(done.stderr.strip() or f"the process ends with {done.returncode}")


def _broken(module: str, distribution: str, reason: str) -> Fact:
    remedy = f"pip install --force-reinstall {distribution}"
    return Fact(module, f"cannot be imported ({reason})", remedy)


def _nine_ones() -> bytes:
    """Return a model with one 3x3 convolution, which on CUDA needs cuDNN too."""
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "ones"], ["sums"])],
        "nine-ones",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, 4, 4])],
        [helper.make_tensor_value_info("sums", TensorProto.FLOAT, [1, 1, 2, 2])],
        [helper.make_tensor("ones", TensorProto.FLOAT, [1, 1, 3, 3], [1.0] * 9)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    data: bytes = model.SerializeToString()
    return data


def _label(provider: str) -> str:
    return provider.removesuffix("ExecutionProvider").replace("Tensorrt", "TensorRT")
