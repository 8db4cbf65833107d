"""Where and how tensors are computed: device, precision, seeds."""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal

import torch
from torch import Tensor

from nst.errors import UsageError, in_one_line
from nst.settings import Precision


def choose_device(name: str = "auto") -> torch.device:
    """Return the device with this name; ``auto`` is CUDA, then Apple's GPU, then the CPU.

    Raises:
        UsageError: There is no such device here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return _tried(torch.device("cuda"))
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"--device must be auto, cpu, cuda, cuda:N or mps, got {name}") from None
    is_there = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }.get(device.type, False)
    if not is_there:
        raise UsageError(f"--device {name}: there is no such device here; try --device auto")
    return _tried(device) if device.type == "cuda" else device


def fault_of_cuda(device: torch.device) -> str:
    """Return why a GPU that is there computes nothing, or nothing: too old for this torch."""
    try:
        wait_for((torch.ones(1, device=device) + 1).device)
    except Exception as error:  # whatever torch calls it
        return in_one_line(str(error).partition("\n")[0])
    return ""


def _tried(device: torch.device) -> torch.device:
    if fault := fault_of_cuda(device):
        raise UsageError(
            f"{torch.cuda.get_device_name(device)} cannot compute with this torch ({fault});"
            " install one that is built for it, see https://pytorch.org/get-started, or give"
            " --device cpu"
        )
    return device


def choose_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the dtype of the convolutions; ``auto`` is bfloat16 where the hardware has it.

    A CPU without bfloat16 instructions emulates them, more than ten times slower than float32.
    """
    if precision != "auto":
        return torch.bfloat16 if precision == "bfloat16" else torch.float32
    if device.type == "cuda":
        with torch.cuda.device(device):  # it looks at the current one
            has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has_bfloat16 = device.type == "cpu" and (
            torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        )
    return torch.bfloat16 if has_bfloat16 else torch.float32


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Return the context in which a forward pass runs."""
    if dtype == torch.float32:
        return nullcontext()
    return torch.autocast(device.type, dtype=dtype)


def precision_name(dtype: torch.dtype) -> Literal["float32", "bfloat16"]:
    """Return the setting that stands for a dtype."""
    return "bfloat16" if dtype == torch.bfloat16 else "float32"


def tune(device: torch.device, dtype: torch.dtype) -> None:
    """Set torch up for many steps of one size, for the whole process.

    Args:
        device: Where they run.
        dtype: Of the convolutions.
    """
    if device.type == "cpu":
        keep_freed_memory()
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        if dtype == torch.bfloat16:
            # Gram matrices are float32 products of bfloat16 numbers: TF32 holds those exactly and
            # sums in float32, on the fast units.
            torch.set_float32_matmul_precision("high")


@contextmanager
def exact_float32() -> Iterator[None]:
    """Context in which CUDA computes float32 as float32, for figures that shall be compared.

    cuDNN rounds convolutions to TF32 unless told otherwise, and ``tune`` may have matrix products
    rounded so.
    """
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(precision)


def keep_freed_memory() -> bool:
    """Tell glibc to keep the memory of freed tensors for the next ones.

    By default it returns every block above 32 MB to the system at once and gets fresh pages for
    the next one, which the kernel must clear: a quarter of a training step on two cores.

    Returns:
        Whether it was done: on Linux with glibc.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library
        return False
    trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD, M_MMAP_MAX of malloc.h
    return bool(mallopt(mmap_max, 0)) and bool(mallopt(trim_threshold, 2**31 - 1))


@functools.cache
def why_no_compiler(device: torch.device) -> str:
    """Return why torch.compile fails on a device, or nothing: Triton and a C compiler are needed.

    The wheel for Windows brings no Triton, and slim containers have no compiler for what Triton
    builds at its first use.
    """
    try:
        torch.compile(lambda x: x + 1, fullgraph=True)(torch.zeros(8, device=device))
    except Exception as error:  # of many kinds, as what is missing
        return in_one_line(str(error).partition("\n")[0])
    return ""


def sent(values: Tensor, device: torch.device) -> Tensor:
    """Copy a small tensor of the CPU to a device, and do not wait until that has come to it."""
    if device.type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


def wait_for(device: torch.device) -> None:
    """Wait until a device has done all that it was given: a GPU works on while the program does."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


_OUT_OF_MEMORY = (
    *("can't allocate memory", "not enough memory", "out of memory"),
    *("alloc_failed", "allocation_failed"),
)
"""How torch says it: on the CPU of Linux and macOS, on that of Windows, on GPUs; cuBLAS, cuDNN."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error of torch says that the memory is too small, on whichever device."""
    is_named_so = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return is_named_so or any(words in str(error).lower() for words in _OUT_OF_MEMORY)


def describe(device: torch.device, dtype: torch.dtype) -> str:
    """Say in one line what computes and how."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        name = f"{device.type}, {torch.get_num_threads()} threads"
    return f"device {name}; precision {precision_name(dtype)}"
