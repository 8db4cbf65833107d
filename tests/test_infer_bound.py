"""Pictures of one size in a row. On the CPU, where memory is bound and sizes fixed in the same way.

Truth: the session that is neither bound nor fixed, to the bit.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

import infer.bound
from infer import providers
from infer.bound import FIXED_FROM, KEPT, Buffers, Rows
from infer.model_file import read_model
from infer.session import Session, open_session
from infer.tensorrt import engine_folder
from nst.contract import INPUT, MIX, TEXTURE
from nst.errors import InferenceError, OutputError, UsageError
from nst.ort import create_session

CPU, CUDA, TENSORRT = (f"{n}ExecutionProvider" for n in ("CPU", "CUDA", "Tensorrt"))
OPTIONS = onnxruntime.RunOptions()


def rows_of(path: Path, said: list[str] | None = None, *, fixes: bool = True) -> Rows:
    """Rows as a GPU has them, on the CPU."""
    model = read_model(path)
    return Rows(
        create_session(model.data, [CPU]),
        model.data,
        device="cpu",
        chain=[CPU] if fixes else None,
        has_texture=model.has_texture,
        announce=(said if said is not None else []).append,
    )


def feeds(seed: int, height: int, width: int, *, batch: int = 1) -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (batch, height, width, 3), dtype=np.uint8)
    return {INPUT: image, MIX: random.random((1, 3, 2, 4), np.float32)}


@pytest.mark.parametrize("fixes", [False, True])
def test_a_row_is_painted_as_single_pictures_are(mix_model: Path, *, fixes: bool) -> None:
    """To the bit, other pictures, mixes and textures each time; and none is overwritten later."""
    plain = create_session(mix_model.read_bytes(), [CPU])
    rows = rows_of(mix_model, fixes=fixes)
    shapes = [(20, 30)] * 6 + [(9, 7)] * 2 + [(20, 30)] * 2
    given = [feeds(n, *shape, batch=1 + n // 6) for n, shape in enumerate(shapes)]
    for n in (1, 3, 4, 9):
        given[n][TEXTURE] = np.array([n / 4], np.float32)
    found = [rows.run(each, OPTIONS) for each in given]
    for each, painted in zip(given, found, strict=True):
        assert painted.dtype == np.uint8
        np.testing.assert_array_equal(painted, plain.run(None, each)[0])


def test_a_view_is_read_in_its_own_order(invert_model: Path, photo: NDArray[np.uint8]) -> None:
    """By hand: 255 - image, of a picture that lies in memory in another order."""
    rows, view = rows_of(invert_model), photo[None, ::2, ::-1, ::-1]
    for _ in range(4):
        np.testing.assert_array_equal(rows.run({INPUT: view}, OPTIONS), 255 - view)


def test_only_a_row_gets_a_session_of_its_own(invert_model: Path) -> None:
    """By hand: the third in a row; sizes that alternate never."""
    rows = rows_of(invert_model)
    one, other = ({INPUT: feeds(0, *size)[INPUT]} for size in ((4, 5), (6, 7)))
    for each in (one, other) * 4:
        rows.run(each, OPTIONS)
    assert rows.sizes == []
    for n in range(1, FIXED_FROM):
        rows.run(one, OPTIONS)
        assert rows.sizes == [], n
    rows.run(one, OPTIONS)
    assert rows.sizes == [(1, 4, 5, 3)]
    rows.run(other, OPTIONS)
    rows.run(one, OPTIONS)  # kept
    assert rows.sizes == [(1, 4, 5, 3)]
    rows.forget()
    assert rows.sizes == []


def test_the_least_recent_size_goes(invert_model: Path) -> None:
    """By hand, with room for three: 1 2 3, then 1 is used again, so 4 takes the place of 2."""
    assert KEPT == 3
    rows = rows_of(invert_model)

    def paint(width: int, times: int = FIXED_FROM) -> list[int]:
        for _ in range(times):
            rows.run({INPUT: np.zeros((1, 2, width, 3), np.uint8)}, OPTIONS)
        return [shape[2] for shape in rows.sizes]

    assert [paint(width) for width in (1, 2, 3)] == [[1], [1, 2], [1, 2, 3]]
    assert paint(1, times=1) == [2, 3, 1]
    assert paint(4) == [3, 1, 4]


def test_a_fixed_size_is_fixed(invert_model: Path) -> None:
    """By invariant: the runtime itself refuses another size than the free sides were fixed to."""
    free = {"batch": 1, "height": 4, "width": 5}
    fixed = create_session(invert_model.read_bytes(), [CPU], free_dimensions=free)
    assert fixed.get_inputs()[0].shape == [1, 4, 5, 3]
    with pytest.raises(Exception, match="Got: 6 Expected: 5"):
        fixed.run(None, {INPUT: np.zeros((1, 4, 6, 3), np.uint8)})


@pytest.mark.parametrize("part", ["session", "run", "provider"])
def test_a_failure_is_said_once_and_painting_goes_on(
    invert_model: Path, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: a session that cannot be made, a capture that fails, another provider obtained."""
    said: list[str] = []
    rows = rows_of(invert_model, said)
    made = create_session

    def fail(*arguments: Any, **options: Any) -> Any:
        raise RuntimeError("[ONNXRuntimeError] : 1 : FAIL : capture is\n not permitted")

    def create(*arguments: Any, **options: Any) -> Any:
        session = made(*arguments, **options)
        if part == "run":
            monkeypatch.setattr(Buffers, "run", once(fail, Buffers.run))
        else:
            monkeypatch.setattr(session, "get_providers", lambda: [CUDA])
        return session

    monkeypatch.setattr(infer.bound, "create_session", fail if part == "session" else create)
    image = feeds(1, 5, 6)[INPUT]
    for _ in range(6):
        np.testing.assert_array_equal(rows.run({INPUT: image}, OPTIONS), 255 - image)
    assert said == [f"goes on {rows.reason}"]
    assert rows.reason.startswith("without CUDA graphs: ")
    words = "got CUDAEx.* in place of CPUEx" if part == "provider" else "capture is not permitted$"
    assert re.search(words, rows.reason)
    assert rows.sizes == []


def once(first: Callable[..., Any], then: Callable[..., Any]) -> Callable[..., Any]:
    """Call the one at the first time and the other from then on."""
    calls = iter([first])
    return lambda *arguments: next(calls, then)(*arguments)


# --- the session ---------------------------------------------------------------------------------


@pytest.fixture
def on_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the CPU pass for a device with memory of its own."""
    monkeypatch.setattr(providers, "BOUND", {"CPU": "cpu"})
    monkeypatch.setattr(providers, "of_fixed_size", lambda chain: [CPU])


def test_on_the_cpu_nothing_is_bound(invert_model: Path) -> None:
    """By hand: there the picture is where the network runs."""
    assert open_session(invert_model, "cpu").rows is None


@pytest.mark.usefixtures("on_device")
def test_a_session_runs_in_rows(mix_model: Path) -> None:
    """To the bit, by a session without; what is kept goes with the memory."""
    bound, other = open_session(mix_model, "cpu"), read_model(mix_model)
    assert bound.rows is not None
    plain = Session(create_session(other.data, [CPU]), other, asked="CPU")
    plain.rows = None
    for n in range(5):
        given = feeds(n, 12, 10)
        found, expected = (
            each.run(given[INPUT], texture=1 + n / 4, mix=given[MIX]) for each in (bound, plain)
        )
        np.testing.assert_array_equal(found, expected)
    assert bound.rows.sizes == [(1, 12, 10, 3)]
    bound.give_memory_back()
    assert bound.rows.sizes == []


@pytest.mark.usefixtures("on_device")
def test_the_provider_line_tells_of_a_failure(
    invert_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: the reason is said once, with the model's name, and stands in the line after."""
    said: list[str] = []
    session = open_session(invert_model, "cpu", announce=said.append)

    def fail(*arguments: Any, **options: Any) -> Any:
        raise RuntimeError("no graph")

    monkeypatch.setattr(infer.bound, "create_session", fail)
    for _ in range(4):
        session.run(np.zeros((1, 2, 2, 3), np.uint8))
    assert said == [f"{invert_model} goes on without CUDA graphs: no graph"]
    line = "provider: asked CPU, got CPU (without CUDA graphs: no graph)"
    assert session.describe_provider() == line


@pytest.mark.usefixtures("on_device")
def test_errors_stay_one_line(invert_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: a bound run that fails is a failed run."""
    session = open_session(invert_model, "cpu")

    def fail(*arguments: Any) -> Any:
        raise RuntimeError("CUDA failure 2: out of memory ; GPU=0")

    monkeypatch.setattr(Buffers, "run", fail)
    image = np.zeros((1, 2, 3, 3), np.uint8)
    session.run(image)  # a single picture
    with pytest.raises(InferenceError, match="not enough memory for 3x2 px; try a smaller --size"):
        session.run(image)


def test_threads(invert_model: Path) -> None:
    """By hand: what is asked for arrives at ONNX Runtime; 0 leaves it alone."""
    for threads in (0, 1, 3):
        session = create_session(invert_model.read_bytes(), [CPU], threads=threads)
        assert session.get_session_options().intra_op_num_threads == threads
    image = np.zeros((1, 1, 1, 3), np.uint8)
    assert open_session(invert_model, "cpu", threads=1).run(image).max() == 255


# --- options of providers ------------------------------------------------------------------------


def named(entry: str | tuple[str, dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    """Take an entry of a provider list that must have options apart."""
    assert not isinstance(entry, str)
    return entry


def test_a_fixed_size_is_searched_once_and_captured() -> None:
    """By hand, from ONNX Runtime's documentation; the session for any size captures nothing."""
    chain = providers.with_options(CUDA, [CUDA, CPU])
    fixed = providers.of_fixed_size(chain)
    assert fixed is not None
    name, options = named(fixed[0])
    assert (name, fixed[1:]) == (CUDA, [CPU])
    assert options["enable_cuda_graph"] == "1"
    assert options["cudnn_conv_algo_search"] == "EXHAUSTIVE"
    assert providers.of_fixed_size([CPU]) is None
    assert providers.of_fixed_size([(TENSORRT, {}), *chain]) is None


def test_options_for_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: what the variable says counts in both sessions, and is told."""
    variable = providers.CUDA_VARIABLE
    monkeypatch.setenv(variable, "prefer_nhwc=1, cudnn_conv_algo_search=HEURISTIC")
    chain = providers.with_options(CUDA, [CUDA, CPU])
    fixed = providers.of_fixed_size(chain)
    assert fixed is not None
    for providers_of in (chain, fixed):
        _, options = named(providers_of[0])
        assert options["prefer_nhwc"] == "1"
        assert options["cudnn_conv_algo_search"] == "HEURISTIC"
    told = f"{variable}: prefer_nhwc=1, cudnn_conv_algo_search=HEURISTIC"
    assert (providers.told("CUDA"), providers.told("CPU")) == (told, "")
    monkeypatch.setenv(variable, "enable_cuda_graph=0")
    assert providers.of_fixed_size(providers.with_options(CUDA, [CUDA, CPU])) is None
    for wrong in ("nhwc=1", "prefer_nhwc=yes", "prefer_nhwc", "gpu_mem_limit=0"):
        monkeypatch.setenv(variable, wrong)
        with pytest.raises(UsageError, match=f"^{variable}: '{wrong}' is none of "):
            providers.with_options(CUDA, [CUDA, CPU])


def test_tensorrt_keeps_engines_in_private(
    invert_model: Path, mix_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: 0700, one folder for each model; half precision only for half files."""
    monkeypatch.setenv("NST_CACHE", str(tmp_path / "cache"))
    model = read_model(invert_model)
    first, second, last = providers.with_options(TENSORRT, [TENSORRT, CUDA, CPU], model)
    name, options = named(first)
    assert (name, named(second)[0], last) == (TENSORRT, CUDA, CPU)
    folder = Path(options["trt_engine_cache_path"])
    assert folder == engine_folder(model.data)
    assert folder != engine_folder(mix_model.read_bytes())
    for each in (folder, folder.parent):
        assert stat.S_IMODE(each.stat().st_mode) == 0o700
    assert options["trt_engine_cache_enable"] == "1"
    assert options["trt_fp16_enable"] == "0"


def test_a_folder_of_engines_that_others_can_open_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: an engine is code, and a link leads anywhere."""
    monkeypatch.setenv("NST_CACHE", str(tmp_path))
    folder = engine_folder(b"model")
    folder.chmod(0o755)
    with pytest.raises(OutputError, match=r"nobody else can open.*chmod 700"):
        engine_folder(b"model")
    folder.rmdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="must be a folder of yours"):
        engine_folder(b"model")
    monkeypatch.setenv("NST_CACHE", str(tmp_path / "file"))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="no place for TensorRT's engines"):
        engine_folder(b"model")
