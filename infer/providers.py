"""Execution providers: which hardware ONNX Runtime is asked to run on. Imports nothing heavy.

The list is never left to ONNX Runtime, which warns at most and goes on with the CPU. What was asked
for is compared with what the session obtained, and both are named.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, get_args

from infer.tensorrt import tensorrt_options
from nst.errors import InferenceError, UsageError, in_one_line
from nst.ort import has_nvidia_gpu
from nst.settings import Provider

if TYPE_CHECKING:
    from infer.model_file import ModelFile

LABELS = {
    "CPUExecutionProvider": "CPU",
    "CUDAExecutionProvider": "CUDA",
    "TensorrtExecutionProvider": "TensorRT",
    "CoreMLExecutionProvider": "CoreML",
    "DmlExecutionProvider": "DirectML",
}
"""Names for people, by the names of ONNX Runtime."""

OWN_MEMORY = ("CUDA", "TensorRT", "DirectML")
"""Providers whose memory is not that of the computer."""

BOUND = {"CUDA": "cuda", "TensorRT": "cuda"}
"""Providers on which memory is bound, see ``infer.bound``, and what ONNX Runtime calls the device.
DirectML is left out: nobody has tried it."""

CPU = "CPUExecutionProvider"
_NAMES = {
    "cpu": CPU,
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "dml": "DmlExecutionProvider",
}
_ON_NVIDIA = (_NAMES["cuda"], _NAMES["tensorrt"])
# By name only: TensorRT, which builds an engine for minutes before the first picture, and CoreML,
# which is said to be slow where sizes are free (ONNX Runtime's page of it) and which nobody tried.
_BEST_FIRST = ("cuda", "dml", "cpu")

_CUDA_OPTIONS = {
    # The default, EXHAUSTIVE, tries every algorithm again at each new picture size. DEFAULT was up
    # to 50 times slower where others measured it (PaddleOCR, pull request 17970).
    "cudnn_conv_algo_search": "HEURISTIC",
    # The fast algorithms may take the memory that they need.
    "cudnn_conv_use_max_workspace": "1",
    # Convolutions on tensor cores want NHWC; norms, borders and enlargements are NCHW kernels, so
    # that each of them would turn its map twice.
    "prefer_nhwc": "0",
    # Separate streams for copies can race (ONNX Runtime, issue 4829).
    "do_copy_in_default_stream": "1",
    # Ten bits of mantissa in float32 convolutions on Ampere and later, as many as float16 has.
    "use_tf32": "1",
}
"""What CUDA is asked for. By the experience of others; not yet measured on a GPU here."""
_FIXED_CUDA_OPTIONS = {"cudnn_conv_algo_search": "EXHAUSTIVE", "enable_cuda_graph": "1"}
"""What besides, in a session of one size: there the search is done once, for many pictures."""
_CHOICES = {
    "cudnn_conv_algo_search": ("EXHAUSTIVE", "HEURISTIC", "DEFAULT"),
    "enable_cuda_graph": ("0", "1"),
    **dict.fromkeys(
        ("cudnn_conv_use_max_workspace", "prefer_nhwc", "do_copy_in_default_stream", "use_tf32"),
        ("0", "1"),
    ),
}
CUDA_VARIABLE = "NST_CUDA_OPTIONS"
"""Environment variable with other values, for measuring: ``prefer_nhwc=1,use_tf32=0``."""

_WHAT_TO_DO = {
    "cuda": "it needs an NVIDIA driver and pip install 'onnxruntime-gpu[cuda,cudnn]'",
    "tensorrt": "it needs an NVIDIA driver, onnxruntime-gpu and the TensorRT libraries",
    "coreml": "it exists on macOS only, in the package onnxruntime",
    "dml": "it exists on Windows only, in the package onnxruntime-directml",
}


def choose(provider: Provider, listed: Sequence[str]) -> str:
    """Return the name that ONNX Runtime gives to the provider to ask for.

    Args:
        provider: What the user named.
        listed: What this build of ONNX Runtime knows, ``onnxruntime.get_available_providers()``.

    Raises:
        UsageError: There is no provider of that name.
        InferenceError: A provider was named that this build does not have.
    """
    if provider not in get_args(Provider):
        raise UsageError(
            f"--provider must be one of {', '.join(get_args(Provider))}, got {provider}"
        )
    if provider == "auto":
        return next(_NAMES[name] for name in _BEST_FIRST if _NAMES[name] in listed)
    if _NAMES[provider] not in listed:
        known = ", ".join(LABELS.get(name, name) for name in listed)
        raise InferenceError(
            f"--provider {provider}: ONNX Runtime has only {known} here;"
            f" {_WHAT_TO_DO[provider]}, or leave the choice to --provider auto"
        )
    return _NAMES[provider]


def with_options(
    name: str, listed: Sequence[str], model: ModelFile | None = None
) -> list[str | tuple[str, dict[str, Any]]]:
    """Return the provider list for a session: the one asked for, then those that help it out.

    Args:
        name: The provider, by ONNX Runtime's name.
        listed: What this build of ONNX Runtime knows.
        model: What will run; TensorRT keeps what it makes of it.

    Raises:
        UsageError: ``$NST_CUDA_OPTIONS`` is none.
        OutputError: The folder for TensorRT's engines cannot be had.
    """
    chain: list[str | tuple[str, dict[str, Any]]] = [name]
    if name == _NAMES["cuda"]:
        chain = [(name, _CUDA_OPTIONS | measured_options() | {"enable_cuda_graph": "0"})]
    if name == _NAMES["tensorrt"]:
        chain = [(name, tensorrt_options(model))] if model is not None else [name]
        if _NAMES["cuda"] in listed:
            options = _CUDA_OPTIONS | measured_options() | {"enable_cuda_graph": "0"}
            chain.append((_NAMES["cuda"], options))
    if name != CPU:
        chain.append(CPU)
    return chain


def of_fixed_size(
    chain: Sequence[str | tuple[str, dict[str, Any]]],
) -> list[str | tuple[str, dict[str, Any]]] | None:
    """Return the provider list for a session of one size with a CUDA graph; None without CUDA.

    Args:
        chain: Of the session for any size, from ``with_options``.
    """
    first = chain[0]
    if isinstance(first, str) or first[0] != _NAMES["cuda"]:
        return None
    options = first[1] | _FIXED_CUDA_OPTIONS | measured_options()
    return [(first[0], options), *chain[1:]] if options["enable_cuda_graph"] == "1" else None


def measured_options() -> dict[str, str]:
    """Return what ``$NST_CUDA_OPTIONS`` asks CUDA for.

    Raises:
        UsageError: It names an option that is not known, or a value that the option has not.
    """
    text = os.environ.get(CUDA_VARIABLE, "")
    options = {}
    for part in filter(None, text.split(",")):
        option, _, value = part.strip().partition("=")
        if value not in _CHOICES.get(option, ()):
            known = "; ".join(f"{name}={' or '.join(v)}" for name, v in _CHOICES.items())
            raise UsageError(f"{CUDA_VARIABLE}: {in_one_line(part)!r} is none of {known}")
        options[option] = value
    return options


def told(obtained: str) -> str:
    """Say what ``$NST_CUDA_OPTIONS`` asked for, of a session on such a provider; or nothing."""
    options = measured_options() if obtained in BOUND else {}
    values = ", ".join(f"{name}={value}" for name, value in options.items())
    return f"{CUDA_VARIABLE}: {values}" if values else ""


def needs_cuda(name: str) -> bool:
    """Whether a provider, by ONNX Runtime's name, runs on CUDA and cuDNN."""
    return name in _ON_NVIDIA


def why_not(name: str, reason: str) -> str:
    """Say why a provider was not obtained: without a GPU what the runtime says only misleads.

    Args:
        name: The provider, by ONNX Runtime's name.
        reason: What the runtime said, or nothing.
    """
    return "no NVIDIA GPU here" if needs_cuda(name) and not has_nvidia_gpu() else reason


def why_no_better(obtained: str, name: str, listed: Sequence[str], reason: str) -> str:
    """Say why ``auto`` ended at a provider where a better one was to be expected, or nothing.

    Args:
        obtained: The provider that runs, as people write it.
        name: The one that was tried, by ONNX Runtime's name.
        listed: What this build of ONNX Runtime knows.
        reason: What the runtime said, or nothing.
    """
    if obtained != LABELS[name]:
        reason = why_not(name, reason) or "see `nst doctor`"
        return f"not {LABELS[name]}: {reason}"
    if name == CPU and _NAMES["cuda"] not in listed and has_nvidia_gpu():
        return "not CUDA: this ONNX Runtime is built without it, see `nst doctor`"
    return ""


def refusal(provider: Provider, obtained: str, reason: str) -> InferenceError:
    """Return the error for a provider that was named and not obtained."""
    because = f" ({reason})" if reason else ""
    return InferenceError(
        f"--provider {provider}: asked {LABELS[_NAMES[provider]]}, got {obtained}{because};"
        f" {_WHAT_TO_DO[provider]}, see `nst doctor`, or run with --provider cpu"
    )
