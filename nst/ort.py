"""ONNX Runtime as every verb opens it: silent, frugal with memory, in our own words. Torch-free.

Nothing heavy is imported before a session is made.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nst.errors import in_one_line

SILENT = 4
"""Log level of ONNX Runtime, fatal only: what matters is said in our own words."""


def create_session(
    model: bytes,
    providers: Sequence[str | tuple[str, dict[str, Any]]],
    *,
    free_dimensions: Mapping[str, int] | None = None,
    threads: int = 0,
) -> Any:  # noqa: ANN401
    """Return an ``onnxruntime.InferenceSession``; its log is silenced, for the whole process.

    Without memory patterns: those save 0 to 4 % of the time, and from the second run of a size on
    hold another block as large as the first (width 8 at 1280x720: 320 MB instead of 164).

    Args:
        model: The content of an ONNX file.
        providers: What to ask for, the best first.
        free_dimensions: Sides that are free in the file, by name, and what they are fixed to.
        threads: For one operator on the CPU; 0 leaves it to ONNX Runtime, one for each core.
    """
    import onnxruntime

    onnxruntime.set_default_logger_severity(SILENT)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = SILENT
    options.enable_mem_pattern = False
    options.intra_op_num_threads = threads
    for name, size in (free_dimensions or {}).items():
        options.add_free_dimension_override_by_name(name, size)
    # What was checked as ONNX must not be taken for ORT's own format, known by four bytes in it.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # Its own fallback prints to stdout, where the picture may go.
    return onnxruntime.InferenceSession(
        model, options, providers=list(providers), enable_fallback=0
    )


def load_cuda_libraries() -> str:
    """Find CUDA and cuDNN in the nvidia packages of pip, where the system has none.

    Returns:
        The first library that is missing, as ``Failed to load libcudnn.so.9``, or nothing.
    """
    import onnxruntime

    if not hasattr(onnxruntime, "preload_dlls"):  # from 1.21 on
        return ""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        onnxruntime.preload_dlls()
    failed = [line for line in printed.getvalue().splitlines() if line.startswith("Failed")]
    return failed[0].partition(":")[0] if failed else ""


_OF_WSL = "/usr/lib/wsl/lib/libcuda.so.1"
"""The driver in Windows' subsystem for Linux, which has no /dev/nvidia0."""


def has_nvidia_gpu() -> bool:
    """Whether the system has an NVIDIA GPU that this process may use."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    if sys.platform == "linux":
        return any(Path("/dev").glob("nvidia[0-9]*")) or Path(_OF_WSL).exists()
    return sys.platform == "win32" and shutil.which("nvidia-smi") is not None


def words_of(error: Exception) -> str:
    """Return the message of ONNX Runtime without codes and places in C++."""
    text = " ".join(str(error).split())
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    text = re.sub(r"/onnxruntime_src/\S+ [^(]*\([^)]*\) ", "", text)
    return in_one_line(text)
