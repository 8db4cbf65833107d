"""Device, precision and memory: what is chosen, and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
import torch

import nst.runtime
from nst.errors import UsageError
from nst.runtime import (
    choose_device,
    choose_precision,
    describe,
    exact_float32,
    keep_freed_memory,
    precision_name,
    tune,
    why_no_compiler,
)


def test_named_precision_is_what_runs() -> None:
    cpu = torch.device("cpu")
    assert choose_precision("float32", cpu) == torch.float32
    assert choose_precision("bfloat16", cpu) == torch.bfloat16


@pytest.mark.parametrize(("has_avx512", "has_amx"), [(True, False), (False, True), (False, False)])
def test_automatic_precision_asks_the_hardware(
    monkeypatch: pytest.MonkeyPatch, has_avx512: bool, has_amx: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_avx512)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has_amx)
    expected = torch.bfloat16 if has_avx512 or has_amx else torch.float32
    assert choose_precision("auto", torch.device("cpu")) == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_name_of_a_precision_is_the_setting_that_gives_it(dtype: torch.dtype) -> None:
    """By invariant: there and back."""
    cpu = torch.device("cpu")
    assert choose_precision(precision_name(dtype), cpu) == dtype
    assert describe(cpu, dtype).endswith(f"precision {precision_name(dtype)}")


@pytest.mark.parametrize("name", ["cuda:99", "toaster", "meta"])
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="--device"):
        choose_device(name)


def test_a_gpu_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in: torch lists it, and its first kernel fails."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Old GPU")
    words = "CUDA error: no kernel image is available"
    monkeypatch.setattr(nst.runtime, "fault_of_cuda", lambda device: words)
    for name in ("auto", "cuda", "cuda:0"):
        with pytest.raises(UsageError, match=rf"^Old GPU cannot .*\({words}\); .*--device cpu"):
            choose_device(name)
    monkeypatch.undo()
    assert not nst.runtime.fault_of_cuda(torch.device("cpu"))
    assert nst.runtime.fault_of_cuda(torch.device("cuda:99"))


def test_a_step_is_compiled_where_a_compiler_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what torch.compile raises where Triton finds no C compiler."""

    def compile(*given: object, **more: object) -> Callable[..., object]:
        def fail(x: object) -> object:
            raise RuntimeError("Failed to find C compiler.\nPlease specify one")

        return fail

    why_no_compiler.cache_clear()
    monkeypatch.setattr(torch, "compile", compile)
    assert why_no_compiler(torch.device("cpu")) == "Failed to find C compiler."
    why_no_compiler.cache_clear()


def test_memory_is_kept_where_glibc_is() -> None:
    import platform

    is_glibc = sys.platform == "linux" and platform.libc_ver()[0] == "glibc"
    assert keep_freed_memory() == is_glibc


def test_exact_float32_ends_where_it_began() -> None:
    """By hand: what training on CUDA sets is set aside for the judge and comes back."""
    before = torch.get_float32_matmul_precision()
    cudnn = torch.backends.cudnn.allow_tf32
    try:
        torch.set_float32_matmul_precision("high")
        with exact_float32():
            assert torch.get_float32_matmul_precision() == "highest"
            assert not torch.backends.cudnn.allow_tf32
        assert torch.get_float32_matmul_precision() == "high"
        assert torch.backends.cudnn.allow_tf32 == cudnn
    finally:
        torch.set_float32_matmul_precision(before)


def test_tuning_a_cpu_leaves_cuda_alone() -> None:
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark
    tune(torch.device("cpu"), torch.bfloat16)
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark) == before
