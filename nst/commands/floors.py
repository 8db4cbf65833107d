"""What a painting costs at least: its arithmetic, and the maps that have to be written and read.

Counted in the graph of one size. The rates that turn it into a time are measured in the same run.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch
from onnx import GraphProto, TensorProto

from nst.commands.contest import matrix_rate
from nst.runtime import wait_for

COPIED_BYTES = 2**28
NORM_PASSES = 3
"""Over the map of a norm: one reads it for the statistics, one reads and writes it."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a network does with one picture."""

    flops: int
    """Of its convolutions; a multiplication and an addition are two."""
    layers: tuple[tuple[int, int], ...]
    """Floating point operations and bytes of each kernel that a good compiler would leave."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What a device reaches."""

    flops_per_s: float
    """In a big matrix product of the same precision."""
    bytes_per_s: float
    """Read and written, in a big copy."""

    def best(self, other: Rates) -> Rates:
        """Return the higher of each: what disturbs a computer only ever makes it slower."""
        return Rates(
            max(self.flops_per_s, other.flops_per_s), max(self.bytes_per_s, other.bytes_per_s)
        )

    def arithmetic_ms(self, work: Work) -> float:
        """Return the time of the arithmetic alone, ms."""
        return 1e3 * work.flops / self.flops_per_s

    def compiled_ms(self, work: Work) -> float:
        """Return the time with a kernel for each convolution and two passes for each norm, ms.

        Each kernel takes what is longer, its arithmetic or its memory.
        """
        parts = (max(f / self.flops_per_s, b / self.bytes_per_s) for f, b in work.layers)
        return 1e3 * sum(parts)


def work_of(graph: GraphProto) -> Work:
    """Count what a graph does in which the shape of every tensor is written.

    Convolutions are kernels that read a map and weights and write a map; a norm is a pass for its
    statistics and one for all that is done place by place until the next convolution, in which a
    residual sum reads a map more. Padding and enlargement belong to the kernel behind them.
    """
    shapes: dict[str, tuple[tuple[int, ...], int]] = {
        t.name: (tuple(t.dims), t.data_type) for t in graph.initializer
    }
    for value in (*graph.value_info, *graph.input, *graph.output):
        kind = value.type.tensor_type
        shapes[value.name] = tuple(d.dim_value for d in kind.shape.dim), kind.elem_type

    def size(name: str) -> int:
        sides, kind = shapes[name]
        return math.prod(sides) * (2 if kind == TensorProto.FLOAT16 else 4)

    made_by = {name: node for node in graph.node for name in node.output}

    def source(name: str) -> str:
        node = made_by.get(name)
        inside = node is not None and node.op_type in ("Pad", "Resize")
        return source(node.input[0]) if node is not None and inside else name

    layers = []
    for node in graph.node:
        if node.op_type == "Conv":
            out, _ = shapes[node.output[0]]
            weight, _ = shapes[node.input[1]]
            moved = sum(map(size, (source(node.input[0]), node.input[1], node.output[0])))
            layers.append((2 * math.prod(out) * math.prod(weight[1:]), moved))
        elif node.op_type == "InstanceNormalization":
            layers.append((0, NORM_PASSES * size(node.input[0])))
        elif node.op_type == "Add" and len(shapes[node.output[0]][0]) == 4:
            layers.append((0, size(node.output[0])))
    return Work(sum(flops for flops, _ in layers), tuple(layers))


def measure_rates(device: torch.device, *, is_half: bool) -> Rates:
    """Measure what a device reaches, the best of ten each.

    On CUDA float32 is what ONNX Runtime makes of it there, TF32; half precision is measured with
    bfloat16, which is as fast. A CPU computes half precision as float32.
    """
    if device.type == "cpu" or is_half:
        flops = matrix_rate(device, "bfloat16" if is_half and device.type != "cpu" else "float32")
    else:
        precision = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high")
        flops = matrix_rate(device, "float32")
        torch.set_float32_matmul_precision(precision)
    return Rates(flops, _copy_rate(device))


def _copy_rate(device: torch.device) -> float:
    a = torch.zeros(COPIED_BYTES, dtype=torch.uint8, device=device)
    b = torch.empty_like(a)
    seconds = []
    for _ in range(10):
        started_at = time.perf_counter()
        b.copy_(a)
        wait_for(device)
        seconds.append(time.perf_counter() - started_at)
    return 2 * COPIED_BYTES / min(seconds)
