"""Ways to compute instance norm. Truth: torch's own in float64. No time is asserted."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nst.cli import main
from nst.commands.norms import norm_shapes
from nst.norm import InstanceNorm
from nst.transformer import TransformerNet


def test_shapes_are_those_of_the_network() -> None:
    network, seen = TransformerNet(4), []

    def note(module: torch.nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        seen.append(tuple(output.shape))

    for module in network.modules():
        if isinstance(module, InstanceNorm):
            module.register_forward_hook(note)
    network(torch.rand(2, 3, 32, 32))
    shapes = norm_shapes(size=32, batch=2, width=4)
    assert {shape: seen.count(shape) for shape in seen} == shapes
    assert sum(shapes.values()) == 15


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bfloat16", 2**-7)])
def test_every_way_is_right_and_ours_keeps_the_layout(
    capsys: pytest.CaptureFixture[str], one_thread: None, precision: str, tolerance: float
) -> None:
    arguments = ["--size", "64", "--width", "8", "--batch", "2", "--device", "cpu"]
    with pytest.raises(SystemExit) as caught:
        main(["bench", "norm", *arguments, "--precision", precision, "--json"])
    assert not caught.value.code
    rows = {row["way"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert len(rows) == 6
    for row in rows.values():
        assert row["seconds"] > 0
        assert row["output_error"] < tolerance
        assert row["gradient_error"] < tolerance
    assert rows["ours"]["keeps_channels_last"]
    assert not rows["F.instance_norm"]["keeps_channels_last"]


KERNELS = """
import torch
from torch.autograd import grad
from nst.commands.triton_norm import triton_norm
from nst.norm import InstanceNorm

# 1480 positions are not a multiple of what a program takes.
x = torch.randn(2, 8, 40, 37, generator=torch.Generator().manual_seed(0)) * 2 + 3
x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
norm = InstanceNorm(8)
with torch.no_grad():
    norm.weight.uniform_(0.5, 2.0)
    norm.bias.uniform_(-1.0, 1.0)
upstream = torch.randn(2, 8, 40, 37, generator=torch.Generator().manual_seed(1))
inputs = [x, norm.weight, norm.bias]
found, expected = triton_norm(norm, x), norm(x)
assert found.is_contiguous(memory_format=torch.channels_last)
pairs = zip(
    [found, *grad(found, inputs, upstream)], [expected, *grad(expected, inputs, upstream)]
)
for a, b in pairs:
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
"""


@pytest.mark.skipif(not importlib.util.find_spec("triton"), reason="Triton is not installed")
def test_the_triton_kernels_in_their_interpreter() -> None:
    """By another implementation; the interpreter must be chosen before the kernels are read."""
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", KERNELS], check=True, env=environment, timeout=120)


@pytest.mark.skipif(not importlib.util.find_spec("triton"), reason="Triton is not installed")
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_the_triton_kernels_compile_for_a_gpu(
    dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the compiler, which needs no GPU and sees more than the interpreter does."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from nst.commands import triton_norm as kernels

    floats, maps = "*fp32", f"*{dtype}"
    size = {"channels": 32, "rows": 16, "turns": 4}
    signatures = {
        kernels._statistics: {"x": maps, "parts": floats, "positions": "i32", "stride": "i32"},
        kernels._products: {"g": maps, "x": maps, "mean": floats, "parts": floats}
        | {"positions": "i32", "stride": "i32"},
        kernels._combine: {"out": maps, "a": maps, "b": maps, "positions": "i32"}
        | dict.fromkeys(("scale", "slope", "shift"), floats),
    }
    for kernel, signature in signatures.items():
        constants = dict.fromkeys(size, "constexpr")
        source = ASTSource(kernel, signature | constants, constexprs=size)
        assert triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["cubin"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_triton_kernels_on_cuda(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["bench", "norm", "--size", "64", "--precision", "float32", "--json"])
    assert not caught.value.code
    rows = {row["way"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert rows["Triton kernels"]["output_error"] < 1e-5
    assert rows["Triton kernels"]["gradient_error"] < 1e-4
