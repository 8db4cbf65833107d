"""What ONNX Runtime raises, and what it means."""

from __future__ import annotations

import re

from onnxruntime.capi import onnxruntime_pybind11_state

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


def is_out_of_memory(error: Exception) -> bool:
    """Whether a run failed for want of memory."""
    # The last is of cuBLAS and cuDNN: CUBLAS_STATUS_ALLOC_FAILED.
    signs = (
        r"\b(failed to allocate|out of memory|bad_alloc|bad allocation|oom)|alloc(ation)?_failed"
    )
    return isinstance(error, MemoryError) or bool(re.search(signs, str(error).lower()))
