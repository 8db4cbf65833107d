"""A style model, ready to run: ONNX Runtime behind checks, and every error one line."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state

from infer import providers
from infer.model_file import ModelFile, in_one_line, read_model
from infer.providers import LABELS, Provider
from nst.contract import INPUT, OUTPUT, ModelInfo
from nst.errors import ImageError, InferenceError, ModelError, NSTError

SILENT = 4
"""Log level of ONNX Runtime, fatal only: what matters is said in our own words."""

SHRINK_FROM_BYTES = 256_000_000
"""A run that needs this much gives its memory back, or the free memory of the next picture would be
misjudged. Smaller ones keep it: allocating anew cost a tenth of the time at 320x240."""

RUNTIME_ERRORS: tuple[type[Exception], ...] = (
    RuntimeError,
    MemoryError,
    UnicodeDecodeError,  # a message that quotes damaged names
    *(
        kind
        for kind in vars(onnxruntime_pybind11_state).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    ),
)
"""Everything that ONNX Runtime raises; its classes have no common base."""


class Session:
    """A checked model on a known provider. Made by ``open_session``.

    Attributes:
        name: What the model is called in messages.
        info: The metadata of the model.
        asked: The provider asked for, as people write it: ``CUDA``.
        obtained: The provider that the session runs on.
        reason: What ONNX Runtime gave as a reason where the two differ, or nothing.
    """

    def __init__(self, runtime: Any, model: ModelFile, *, asked: str, reason: str = "") -> None:  # noqa: ANN401
        self._runtime = runtime
        self.name = model.name
        self.info: ModelInfo = model.info
        self.asked = asked
        self.obtained = _label(runtime)
        self.reason = reason

    @property
    def has_own_memory(self) -> bool:
        """Whether the provider's memory is not that of the computer."""
        return self.obtained in providers.OWN_MEMORY

    def describe_provider(self) -> str:
        """Return the line that says what really runs: ``provider: asked CUDA, got CPU``."""
        because = f" ({self.reason})" if self.reason else ""
        return f"provider: asked {self.asked}, got {self.obtained}{because}"

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Paint pictures of one size.

        Args:
            images: RGB, uint8, (N, H, W, 3); N, H and W at least 1.

        Returns:
            RGB, uint8, (N, H, W, 3).

        Raises:
            ImageError: The array is of another kind.
            InferenceError: The run failed, for want of memory as a rule.
            ModelError: The model changed the size of the pictures.
        """
        _check_images(images)
        n, height, width = images.shape[:3]
        options = onnxruntime.RunOptions()
        options.log_severity_level = SILENT
        needed = self.info.bytes_per_pixel * n * height * width
        if self.obtained == "CPU" and needed >= SHRINK_FROM_BYTES:
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        try:
            (painted,) = self._runtime.run([OUTPUT], {INPUT: images}, options)
        except RUNTIME_ERRORS as error:
            raise self._run_error(error, n, height, width) from None
        if painted.shape != images.shape or painted.dtype != np.uint8:
            raise ModelError(
                f"{self.name} paints {_shape(images)} as {painted.dtype} {_shape(painted)};"
                " a style model keeps the size, export it again"
            )
        return np.asarray(painted, dtype=np.uint8)

    def _run_error(self, error: Exception, n: int, height: int, width: int) -> NSTError:
        what = f"{width}x{height} px" if n == 1 else f"{n} pictures of {width}x{height} px at once"
        if _is_out_of_memory(error):
            return InferenceError(
                f"{self.obtained} has not enough memory for {what}; try a smaller --size"
            )
        return InferenceError(f"{self.name} failed on {what}: {_words_of(error)}")


def open_session(
    model: str | Path | bytes, provider: Provider = "auto", *, threads: int | None = None
) -> Session:
    """Check a model file and load it. ONNX Runtime's own log is silenced, for the whole process.

    Args:
        model: The file, or its content.
        provider: Where to run. ``auto`` asks for the best that ONNX Runtime lists and takes the CPU
            where that cannot be had; a provider that is named is obtained or refused.
        threads: Threads of one operator on the CPU; None leaves the choice to ONNX Runtime.

    Raises:
        ModelError: The file is no style model that follows the contract.
        InferenceError: The provider was named and cannot be had.
        UsageError: There is no provider of that name.
    """
    listed = onnxruntime.get_available_providers()
    name = providers.choose(provider, listed)
    checked = read_model(model)
    chain = providers.with_options(name, listed)
    onnxruntime.set_default_logger_severity(SILENT)
    if "CUDAExecutionProvider" in (entry[0] for entry in chain if isinstance(entry, tuple)):
        _load_cuda_libraries()
    reason = ""
    try:
        runtime = _create(checked, chain, threads)
    except RUNTIME_ERRORS as error:
        # The provider or the model: on the CPU only the model can be the cause.
        reason = _words_of(error)
        try:
            runtime = _create(checked, ["CPUExecutionProvider"], threads)
        except RUNTIME_ERRORS as again:
            raise ModelError(f"{checked.name} cannot be loaded: {_words_of(again)}") from None
    if provider != "auto" and _label(runtime) != LABELS[name]:
        raise providers.refusal(provider, _label(runtime), reason)
    return Session(runtime, checked, asked=LABELS[name], reason=reason)


def _create(model: ModelFile, chain: list[Any], threads: int | None) -> Any:  # noqa: ANN401
    options = onnxruntime.SessionOptions()
    options.log_severity_level = SILENT
    # What was checked as ONNX must not be taken for ORT's own format, known by four bytes in it.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    if threads is not None:
        options.intra_op_num_threads = threads
    if "DmlExecutionProvider" in chain:  # DirectML works in no other way
        options.enable_mem_pattern = False
    # Its own fallback prints to stdout, where the picture may go.
    return onnxruntime.InferenceSession(model.data, options, providers=chain, enable_fallback=0)


def _load_cuda_libraries() -> None:
    """Find CUDA and cuDNN in the nvidia packages of pip, where the system has none."""
    if hasattr(onnxruntime, "preload_dlls"):  # from 1.21 on
        # It prints which libraries it missed; the comparison of asked and got tells that better.
        with contextlib.redirect_stdout(io.StringIO()):
            onnxruntime.preload_dlls()


def _label(runtime: Any) -> str:  # noqa: ANN401
    name = str(runtime.get_providers()[0])
    return LABELS.get(name, name)


def _check_images(images: NDArray[np.uint8]) -> None:
    is_right = images.ndim == 4 and images.shape[-1] == 3 and images.size > 0
    if images.dtype != np.uint8 or not is_right:
        raise ImageError(
            "pictures for a model must be uint8 (batch, height, width, 3) with at least one pixel,"
            f" got {images.dtype} {_shape(images)}"
        )


def _shape(array: NDArray[Any]) -> str:
    return "(" + ", ".join(map(str, array.shape)) + ")"


def _is_out_of_memory(error: Exception) -> bool:
    signs = ("failed to allocate", "out of memory", "bad_alloc", "bad allocation", "oom")
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(re.search(rf"\b{s}", text) for s in signs)


def _words_of(error: Exception) -> str:
    """Return the message of ONNX Runtime without codes and places in C++."""
    text = " ".join(str(error).split())
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    text = re.sub(r"/onnxruntime_src/\S+ [^(]*\([^)]*\) ", "", text)
    return in_one_line(text)
