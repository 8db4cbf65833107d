"""A style model, ready to run: ONNX Runtime behind checks, and every error one line."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from infer import providers
from infer.bound import Rows
from infer.failures import RUNTIME_ERRORS, is_out_of_memory
from infer.memory import needed_bytes
from infer.model_file import ModelFile, read_model
from infer.providers import LABELS
from nst.contract import INPUT, MIX, OUTPUT, TEXTURE, ModelInfo
from nst.errors import (
    ImageError,
    InferenceError,
    ModelError,
    NSTError,
    OutOfMemoryError,
    UsageError,
)
from nst.ort import SILENT, create_session, load_cuda_libraries, words_of
from nst.settings import Provider

if TYPE_CHECKING:
    from infer.tile_graphs import TileGraphs

SHRINK_FROM_BYTES = 256_000_000
"""A run that needs this much gives its memory back, unless pictures of its size come in a row, as
the frames of a film do: to allocate anew cost 16 to 20 % of the time from 320x240 to 1920x1080."""

MOST_THREADS_OF_A_CORE = 4
"""More only wait for each other, in loops: a picture takes twice as long with so many already."""
_TURN = threading.Lock()
_ARENAS = {"CPU": "cpu:0", "CUDA": "gpu:0"}
"""Where a provider keeps memory for its next run, as ONNX Runtime calls it."""


class Session:
    """A checked model on a known provider. Made by ``open_session``.

    Args:
        runtime: ONNX Runtime's session.
        model: The file.
        asked: What was asked for.
        reason: Why the provider is not the one that was wanted, or nothing.
        chain: What ONNX Runtime was told to run on; the CPU if not given.
        threads: Of a run on the CPU; 0 leaves it to ONNX Runtime.
        announce: Told in one line when what makes pictures in a row faster fails.

    Attributes:
        model: The file.
        name: What the model is called in messages.
        info: The metadata of the model.
        asked: What was asked for: ``auto``, or a provider as people write it, ``CUDA``.
        obtained: The provider that the session runs on.
        reason: Why it is not the one that was wanted, or nothing.
        has_texture: Whether the model has noise, whose amplitude can be set.
        rows: What makes pictures of one size in a row faster, on a device with its own memory.
    """

    def __init__(
        self,
        runtime: Any,  # noqa: ANN401
        model: ModelFile,
        *,
        asked: str,
        reason: str = "",
        chain: Sequence[Any] = (providers.CPU,),
        threads: int = 0,
        announce: Callable[[str], object] = lambda line: None,
    ) -> None:
        self._runtime = runtime
        self._chain = chain
        self._threads = threads
        self.model = model
        self.name = model.name
        self.info: ModelInfo = model.info
        self.has_texture = model.has_texture
        self.asked = asked
        self.obtained = _label(runtime)
        self.reason = reason
        self._last_shape: tuple[int, ...] = ()
        self._turn = _turn_on(self.obtained)
        self.rows: Rows | None = None
        if self.obtained in providers.BOUND:
            self.rows = Rows(
                runtime,
                model.data,
                device=providers.BOUND[self.obtained],
                chain=providers.of_fixed_size(chain),
                has_texture=model.has_texture,
                announce=lambda line: announce(f"{model.name} {line}"),
            )

    @property
    def has_own_memory(self) -> bool:
        """Whether the provider's memory is not that of the computer."""
        return self.obtained in providers.OWN_MEMORY

    def describe_provider(self) -> str:
        """Return the line that says what really runs: ``provider: asked auto, got CUDA``."""
        reasons = [
            self.reason,
            self.rows.reason if self.rows else "",
            providers.told(self.obtained),
        ]
        because = "; ".join(filter(None, reasons))
        because = f" ({because})" if because else ""
        return f"provider: asked {self.asked}, got {self.obtained}{because}"

    def run(
        self,
        images: NDArray[np.uint8],
        *,
        texture: float = 1.0,
        mix: NDArray[np.float32] | None = None,
    ) -> NDArray[np.uint8]:
        """Paint pictures of one size.

        Args:
            images: RGB, uint8, (N, H, W, 3); N, H and W at least 1.
            texture: What the noise is multiplied by; 1 for a model without noise.
            mix: Of a model with controls and only of it, ``(M, K + 1, h, w)`` as ``nst.contract``
                has it.

        Returns:
            RGB, uint8, (N, H, W, 3).

        Raises:
            ImageError: The array is of another kind.
            UsageError: The mix does not suit the model, or holds a number below 0 or none.
            InferenceError: The run failed, for want of memory as a rule.
            ModelError: The model changed the size of the pictures.
        """
        _check_images(images)
        self._check_mix(mix, len(images))
        n, height, width = images.shape[:3]
        is_in_a_row, self._last_shape = images.shape == self._last_shape, images.shape
        inputs: dict[str, NDArray[Any]] = {INPUT: images}
        if texture != 1.0:  # the value that the model itself has
            inputs[TEXTURE] = np.array([texture], np.float32)
        if mix is not None:
            inputs[MIX] = mix
        is_large = needed_bytes(self.info, height, width, n) >= SHRINK_FROM_BYTES
        options = self._options(gives_memory_back=is_large and not is_in_a_row)
        try:
            if self.rows is not None:
                painted = self.rows.run(inputs, options)
            else:
                with self._turn:
                    (painted,) = self._runtime.run([OUTPUT], inputs, options)
        except RUNTIME_ERRORS as error:
            pictures = "" if n == 1 else f"{n} pictures of "
            at_once = "" if n == 1 else " at once"
            what = f"{pictures}{width}x{height} px{at_once}"
            raise self._run_error(error, what) from None
        if painted.shape != images.shape or painted.dtype != np.uint8:
            raise ModelError(
                f"{self.name} paints {_shape(images)} as {painted.dtype} {_shape(painted)};"
                " a style model keeps the size, export it again"
            )
        return np.asarray(painted, dtype=np.uint8)

    @cached_property
    def graphs(self) -> TileGraphs:
        """What it takes to paint in tiles.

        Raises:
            ModelError: The graph is of a kind that cannot be painted in tiles.
        """
        # Here, because most pictures need no tiles.
        from infer.tile_facts import TileFacts
        from infer.tile_graphs import TileGraphs

        multiple = self.info.size_multiple
        try:
            facts = TileFacts(self.model.data, _run_once, name=self.name, size_multiple=multiple)
            return TileGraphs(facts, _run_once)
        except RUNTIME_ERRORS as error:
            raise self._run_error(error, "the plan of tiles") from None

    def on_cpu(self) -> Session:
        """Return the same model on the CPU.

        Raises:
            InferenceError: It cannot be loaded there, for want of memory as a rule.
        """
        try:
            runtime = create_session(self.model.data, [providers.CPU], threads=self._threads)
        except RUNTIME_ERRORS as error:
            raise self._run_error(error, "the model on the CPU") from None
        why = "for want of memory"
        return Session(runtime, self.model, asked=self.asked, reason=why, threads=self._threads)

    def derived(self, graph: bytes) -> Any:  # noqa: ANN401
        """Load a graph that was derived from the model, where the model runs.

        Raises:
            InferenceError: It cannot be loaded, for want of memory as a rule.
        """
        try:
            with self._turn:
                return create_session(graph, self._chain, threads=self._threads)
        except RUNTIME_ERRORS as error:
            raise self._run_error(error, "a part of the network") from None

    def run_derived(
        self,
        part: Any,  # noqa: ANN401
        outputs: Sequence[str],
        inputs: dict[str, NDArray[Any]],
        what: str,
    ) -> list[NDArray[Any]]:
        """Run what ``derived`` returned.

        Args:
            part: The loaded graph.
            outputs: Names.
            inputs: By name.
            what: What it is run on, for an error.

        Raises:
            InferenceError: The run failed, for want of memory as a rule.
        """
        try:
            with self._turn:
                options = onnxruntime.RunOptions()
                found: list[NDArray[Any]] = part.run(list(outputs), inputs, options)
        except RUNTIME_ERRORS as error:
            raise self._run_error(error, what) from None
        return found

    def give_memory_back(self) -> None:
        """Let go of what earlier runs left for the next one of their size; a run of one pixel."""
        self._last_shape = ()
        if self.rows is not None:
            self.rows.forget()
        with self._turn, contextlib.suppress(*RUNTIME_ERRORS):  # then nothing is gained or lost
            options = self._options(gives_memory_back=True)
            self._runtime.run([OUTPUT], _pixel(self.info), options)

    @property
    def has_mix(self) -> bool:
        """Whether the model is told which styles to mix."""
        return self.info.controls != "none"

    def _check_mix(self, mix: NDArray[np.float32] | None, pictures: int) -> None:
        if (mix is not None) != self.has_mix:
            wants = "needs a mix of its styles" if self.has_mix else "has one style, nothing to mix"
            raise UsageError(f"{self.name} {wants}")
        if mix is None:
            return
        channels = len(self.info.styles) + 1
        suits = mix.ndim == 4 and mix.size > 0 and mix.shape[1] == channels
        if not suits or mix.dtype != np.float32 or mix.shape[0] not in (1, pictures):
            raise UsageError(
                f"a mix for {self.name} must be float32 (1 or {pictures}, {channels}, h, w), got"
                f" {mix.dtype} {_shape(mix)}"
            )
        if self.info.controls == "global" and mix.shape[2:] != (1, 1):
            raise UsageError(f"{self.name} takes one mix for all of a picture, got {_shape(mix)}")
        if not (np.isfinite(mix).all() and (mix >= 0).all()):
            raise UsageError("a mix must hold numbers from 0 on")

    def _options(self, *, gives_memory_back: bool) -> onnxruntime.RunOptions:
        options = onnxruntime.RunOptions()
        options.log_severity_level = SILENT
        if gives_memory_back and self.obtained in _ARENAS:
            key = "memory.enable_memory_arena_shrinkage"
            options.add_run_config_entry(key, _ARENAS[self.obtained])
        return options

    def _run_error(self, error: Exception, what: str) -> NSTError:
        if is_out_of_memory(error):
            return OutOfMemoryError(
                f"{self.obtained} has not enough memory for {what}; try a smaller --size"
            )
        return InferenceError(f"{self.name} failed on {what}: {words_of(error)}")


def open_session(
    model: str | Path | bytes | ModelFile,
    provider: Provider = "auto",
    *,
    threads: int = 0,
    announce: Callable[[str], object] = lambda line: None,
) -> Session:
    """Check a model file and load it. ONNX Runtime's own log is silenced, for the whole process.

    Args:
        model: As ``read_model`` takes it: a file, its content, a name of the registry, or what that
            function returned.
        provider: Where to run. ``auto`` asks for the best that ONNX Runtime lists and takes the CPU
            where that cannot be had; a provider that is named is obtained or refused.
        threads: Of a run on the CPU; 0 leaves it to ONNX Runtime, one for each core.
        announce: Told in one line what is amiss, with the file now and with the session later.

    Raises:
        ModelError: The file is no style model that follows the contract.
        InferenceError: The provider was named and cannot be had.
        UsageError: There is no provider of that name, or there are far too many threads.
    """
    _check_threads(threads)
    listed = onnxruntime.get_available_providers()
    name = providers.choose(provider, listed)
    checked = read_model(model)
    if not checked.is_sealed:
        announce(
            f"{checked.name} carries no hash of itself, as older exports: damage would go"
            " unnoticed; export it again with `nst export`"
        )
    chain = providers.with_options(name, listed, checked)
    missing = load_cuda_libraries() if providers.needs_cuda(name) else ""
    error_words = ""
    try:
        with _turn_on(LABELS[name]):
            runtime = create_session(checked.data, chain, threads=threads)
            if _label(runtime) == "CUDA":  # a GPU that is too old for the kernels says so only now
                runtime.run([OUTPUT], _pixel(checked.info))
    except RUNTIME_ERRORS as error:
        # The provider or the model: on the CPU only the model can be the cause.
        error_words = words_of(error)
        chain = [providers.CPU]
        try:
            runtime = create_session(checked.data, chain, threads=threads)
        except RUNTIME_ERRORS as again:
            raise ModelError(f"{checked.name} cannot be loaded: {words_of(again)}") from None
    obtained, reason = _label(runtime), missing or error_words
    asked = "auto"
    if provider == "auto":
        reason = providers.why_no_better(obtained, name, listed, reason)
    elif obtained != LABELS[name]:
        raise providers.refusal(provider, obtained, providers.why_not(name, reason))
    else:
        asked, reason = obtained, ""
    return Session(
        runtime,
        checked,
        asked=asked,
        reason=reason,
        chain=chain,
        threads=threads,
        announce=announce,
    )


def _pixel(info: ModelInfo) -> dict[str, NDArray[Any]]:
    """Return the inputs of a picture of one pixel."""
    inputs: dict[str, NDArray[Any]] = {INPUT: np.zeros((1, 1, 1, 3), np.uint8)}
    if info.controls != "none":
        inputs[MIX] = np.ones((1, len(info.styles) + 1, 1, 1), np.float32)
    return inputs


def _turn_on(provider: str) -> AbstractContextManager[object]:
    """Return what lets one thread at a time use a provider with memory of its own.

    Nothing else may use the GPU while ONNX Runtime records a CUDA graph, and DirectML runs no
    session in two threads. Such a device does one thing after the other anyway.
    """
    return _TURN if provider in providers.OWN_MEMORY else contextlib.nullcontext()


def _run_once(graph: bytes, inputs: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """Load a graph on the CPU and run it."""
    found: list[NDArray[Any]] = create_session(graph, [providers.CPU]).run(None, inputs)
    return found


def _label(runtime: Any) -> str:  # noqa: ANN401
    name = str(runtime.get_providers()[0])
    return LABELS.get(name, name)


def _check_threads(threads: int) -> None:
    """Refuse what would take the machine's memory and never begin: each thread waits in loops."""
    cores = os.cpu_count() or 1
    most = MOST_THREADS_OF_A_CORE * cores
    if threads > most:
        has = "1 core" if cores == 1 else f"{cores} cores"
        raise UsageError(f"--threads must be 0 to {most}, got {threads}; this machine has {has}")


def _check_images(images: NDArray[np.uint8]) -> None:
    is_right = images.ndim == 4 and images.shape[-1] == 3 and images.size > 0
    if images.dtype != np.uint8 or not is_right:
        raise ImageError(
            "pictures for a model must be uint8 (batch, height, width, 3) with at least one pixel,"
            f" got {images.dtype} {_shape(images)}"
        )


def _shape(array: NDArray[Any]) -> str:
    return "(" + ", ".join(map(str, array.shape)) + ")"
