"""Pictures of one size in a row, on a device with memory of its own: bound, then as a CUDA graph.

A single picture runs as it always did. From the second of a size on, its memory on the device stays
where it is; from the third on, a session fixed to that size runs, which records the launches of the
GPU once and replays them. Only what is on the device is refreshed at a replay (ONNX Runtime, issue
29782), so everything that is given lies there.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from infer.failures import RUNTIME_ERRORS
from nst.contract import INPUT, OUTPUT, TEXTURE
from nst.ort import SILENT, create_session, words_of

BOUND_FROM, FIXED_FROM = 2, 3
"""From which picture of a size in a row on memory is bound, and a session fixed to the size."""
KEPT = 3
"""Sizes whose sessions are kept; each has the memory of a whole run."""

Feeds = dict[str, NDArray[Any]]
Key = tuple[tuple[str, tuple[int, ...]], ...]
"""Names and shapes of what is given."""


class Buffers:
    """A session with inputs and output bound to memory that stays in place.

    Args:
        runtime: ONNX Runtime's session.
        inputs: What it is given, for names, shapes and types.
        shape: Of the output, uint8.
        device: As ONNX Runtime calls it, ``cuda``.
    """

    def __init__(
        self,
        runtime: Any,  # noqa: ANN401
        inputs: Feeds,
        shape: Sequence[int],
        device: str,
    ) -> None:
        allocate = onnxruntime.OrtValue.ortvalue_from_shape_and_type
        self._runtime = runtime
        self._given = {
            name: allocate(list(array.shape), array.dtype.type, device, 0)
            for name, array in inputs.items()
        }
        self._painted = allocate(list(shape), np.uint8, device, 0)
        self._binding = runtime.io_binding()
        for name, value in self._given.items():
            self._binding.bind_ortvalue_input(name, value)
        self._binding.bind_ortvalue_output(OUTPUT, self._painted)

    def run(self, inputs: Feeds, options: onnxruntime.RunOptions) -> NDArray[np.uint8]:
        """Copy the inputs to the device, run, and return a copy of what was painted."""
        for name, array in inputs.items():
            self._given[name].update_inplace(np.ascontiguousarray(array))
        self._binding.synchronize_inputs()
        self._runtime.run_with_iobinding(self._binding, options)
        self._binding.synchronize_outputs()
        return np.array(self._painted.numpy(), dtype=np.uint8)


class Rows:
    """Runs of one model that see which sizes come in a row.

    Args:
        runtime: ONNX Runtime's session for any size.
        model: The content of the file, for sessions of a fixed size.
        device: Where memory is bound, as ONNX Runtime calls it.
        chain: Providers of the fixed sessions; None for none of these.
        has_texture: Whether the model has noise.
        announce: Told in one line when fixed sessions cannot be had.

    Attributes:
        reason: Why there are no fixed sessions, or nothing.
    """

    def __init__(
        self,
        runtime: Any,  # noqa: ANN401
        model: bytes,
        *,
        device: str,
        chain: Sequence[Any] | None,
        has_texture: bool,
        announce: Callable[[str], object],
    ) -> None:
        self._runtime = runtime
        self._model = model
        self._device = device
        self._chain = chain
        self._has_texture = has_texture
        self._announce = announce
        self._lock = threading.Lock()  # what is bound serves one picture at a time
        self._last: Key = ()
        self._in_a_row = 0
        self._bound: tuple[Key, Buffers] | None = None
        self._fixed: OrderedDict[Key, Buffers] = OrderedDict()
        self.reason = ""

    @property
    def sizes(self) -> list[tuple[int, ...]]:
        """Shapes of the pictures that have a session of their own, the least recent first."""
        return [dict(key)[INPUT] for key in self._fixed]

    def run(self, inputs: Feeds, options: onnxruntime.RunOptions) -> NDArray[Any]:
        """Paint pictures, ``(N, H, W, 3)``, as the session for any size does.

        Args:
            inputs: By name; the texture may be left out.
            options: Of a run of the session for any size.
        """
        with self._lock:
            if self._has_texture and TEXTURE not in inputs:
                inputs = inputs | {TEXTURE: np.ones(1, np.float32)}
            key = tuple((name, array.shape) for name, array in sorted(inputs.items()))
            self._in_a_row = self._in_a_row + 1 if key == self._last else 1
            self._last = key
            painted = self._run_fixed(key, inputs)
            if painted is not None:
                return painted
            if self._in_a_row >= BOUND_FROM:
                if self._bound is None or self._bound[0] != key:
                    self._bound = None  # first let go of the other size's
                    self._bound = key, self._buffers(self._runtime, inputs)
                return self._bound[1].run(inputs, options)
        (single,) = self._runtime.run([OUTPUT], inputs, options)
        return np.asarray(single)

    def forget(self) -> None:
        """Let go of all that is kept for the next picture of a size."""
        with self._lock:
            self._last, self._in_a_row, self._bound = (), 0, None
            self._fixed.clear()

    def _run_fixed(self, key: Key, inputs: Feeds) -> NDArray[np.uint8] | None:
        """Paint with the session of this size; None where there is none and none is due."""
        if self._chain is None or self.reason:
            return None
        if key not in self._fixed and self._in_a_row < FIXED_FROM:
            return None
        options = onnxruntime.RunOptions()
        options.log_severity_level = SILENT
        try:
            if key not in self._fixed:
                self._bound = None
                while len(self._fixed) >= KEPT:
                    self._fixed.popitem(last=False)
                self._fixed[key] = self._buffers(self._fixed_session(inputs), inputs)
            self._fixed.move_to_end(key)
            return self._fixed[key].run(inputs, options)
        except RUNTIME_ERRORS as error:
            self._fixed.clear()
            self.reason = f"without CUDA graphs: {words_of(error)}"
        self._announce(f"goes on {self.reason}")
        return None

    def _fixed_session(self, inputs: Feeds) -> Any:  # noqa: ANN401
        free = {
            side: size
            for value in self._runtime.get_inputs()
            for side, size in zip(value.shape, inputs[value.name].shape, strict=True)
            if isinstance(side, str)
        }
        assert self._chain is not None
        fixed = create_session(self._model, self._chain, free_dimensions=free)
        wanted, obtained = self._runtime.get_providers()[0], fixed.get_providers()[0]
        if obtained != wanted:
            raise RuntimeError(f"a session of a fixed size got {obtained} in place of {wanted}")
        return fixed

    def _buffers(self, runtime: Any, inputs: Feeds) -> Buffers:  # noqa: ANN401
        return Buffers(runtime, inputs, inputs[INPUT].shape, self._device)
