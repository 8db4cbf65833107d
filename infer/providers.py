"""Execution providers: which hardware ONNX Runtime is asked to run on. Imports nothing heavy.

The list is never left to ONNX Runtime, which warns at most and goes on with the CPU. What was asked
for is compared with what the session obtained, and both are named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from nst.errors import InferenceError, UsageError
from nst.ort import has_nvidia_gpu
from nst.settings import Provider

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

CPU = "CPUExecutionProvider"
_NAMES = {
    "cpu": CPU,
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "dml": "DmlExecutionProvider",
}
_ON_NVIDIA = (_NAMES["cuda"], _NAMES["tensorrt"])
# TensorRT builds an engine for minutes before the first picture, so it is taken by name only.
_BEST_FIRST = ("cuda", "coreml", "dml", "cpu")

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


def with_options(name: str, listed: Sequence[str]) -> list[str | tuple[str, dict[str, Any]]]:
    """Return the provider list for a session: the one asked for, then those that help it out."""
    chain = [name]
    if name == _NAMES["tensorrt"] and _NAMES["cuda"] in listed:
        chain.append(_NAMES["cuda"])
    if name != CPU:
        chain.append(CPU)
    # The default, EXHAUSTIVE, tries every algorithm again at each new picture size.
    options = {_NAMES["cuda"]: {"cudnn_conv_algo_search": "HEURISTIC"}}
    return [(entry, options[entry]) if entry in options else entry for entry in chain]


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
