"""The border to model files and to ONNX Runtime: what is let in, what is said when it is not."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

import infer.model_file
import infer.session
from export.to_onnx import to_model, write_info
from infer import providers
from infer.model_file import read_model
from infer.session import open_session
from nst.contract import DIMENSIONS, INPUT, OUTPUT, ModelInfo
from nst.errors import ImageError, InferenceError, ModelError, NSTError, UsageError
from nst.seal import unsealed
from nst.settings import Provider
from nst.transformer import TransformerNet

Change = Callable[[ModelProto], None]


@pytest.fixture
def changed(invert_model: Path, tmp_path: Path) -> Callable[[Change], Path]:
    """Write the negative model with one change, as it was before models had a hash."""

    def write(change: Change) -> Path:
        proto = unsealed(onnx.load(invert_model))
        change(proto)
        path = tmp_path / "changed.onnx"
        path.write_bytes(proto.SerializeToString())
        return path

    return write


def refused(path: Path | bytes) -> str:
    """Open a model that must be refused; return the message, which is one line."""
    with pytest.raises(ModelError) as caught:
        open_session(path, "cpu")
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- running -------------------------------------------------------------------------------------


def test_the_negative_by_hand(invert_model: Path) -> None:
    """0, 100 and 255 become 255, 155 and 0."""
    session = open_session(invert_model, "cpu")
    image = np.array([[[[0, 100, 255]]]], np.uint8)
    assert session.run(image).tolist() == [[[[255, 155, 0]]]]
    assert session.info.styles == ("negative",)


@pytest.mark.parametrize("shape", [(1, 1, 1, 3), (2, 5, 7, 3), (3, 16, 8, 3)])
def test_every_size_and_batch(invert_model: Path, shape: tuple[int, ...]) -> None:
    """By hand: 255 - image, at the size of the image."""
    images = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    painted = open_session(invert_model, "cpu").run(images)
    np.testing.assert_array_equal(painted, 255 - images)


def test_a_view_is_read_in_its_own_order(invert_model: Path, photo: NDArray[np.uint8]) -> None:
    """By invariant: memory order is no property of a picture. BGR to RGB is such a view."""
    view = photo[None, ::2, ::-1, ::-1]
    np.testing.assert_array_equal(open_session(invert_model, "cpu").run(view), 255 - view)


def test_the_content_is_as_good_as_the_file(invert_model: Path, photo: NDArray[np.uint8]) -> None:
    painted = open_session(invert_model.read_bytes(), "cpu").run(photo[None])
    np.testing.assert_array_equal(painted[0], 255 - photo)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((4, 4, 3), np.uint8),
        np.zeros((1, 4, 4, 4), np.uint8),
        np.zeros((1, 3, 4, 4), np.uint8),
        np.zeros((1, 4, 4, 3), np.float32),
        np.zeros((0, 4, 4, 3), np.uint8),
        np.zeros((1, 0, 4, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(invert_model: Path, images: NDArray[Any]) -> None:
    with pytest.raises(ImageError, match=r"uint8 \(batch, height, width, 3\)"):
        open_session(invert_model, "cpu").run(images)


MEMORY = """
import sys
import numpy as np, psutil, infer.session
from infer.memory import needed_bytes
def resident(): return psutil.Process().memory_info().rss
session = infer.session.open_session(sys.argv[1], "cpu")
infer.session.SHRINK_FROM_BYTES = int(sys.argv[2])
session.run(np.zeros((1, 8, 8, 3), np.uint8))
start, kept, images = resident(), [], np.zeros((1, 480, 640, 3), np.uint8)
for _ in range(4):
    session.run(images)
    kept.append(resident() - start)
session.give_memory_back()
print(needed_bytes(session.info, 480, 640), *kept, resident() - start)
"""


def memory_kept(model: Path, *, shrink_from: int) -> tuple[int, list[int], int]:
    """Bytes predicted for 640x480 px, held after each of four runs, and when given back."""
    command = [sys.executable, "-c", MEMORY, str(model), str(shrink_from)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    predicted, *kept, rest = map(int, done.stdout.split())
    return predicted, kept, rest


@pytest.fixture(scope="module")
def narrow_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The narrowest network that is trained, with the prediction of the export."""
    path = tmp_path_factory.mktemp("narrow") / "narrow.onnx"
    info = ModelInfo(
        styles=("narrow",),
        style_sha256=("0" * 64,),
        network="johnson",
        width=8,
        reach_px=57,
        size_multiple=4,
        bytes_per_pixel=TransformerNet(8).bytes_per_pixel,
    )
    path.write_bytes(write_info(to_model(TransformerNet(8).eval()), info))
    return path


def test_the_second_run_of_a_size_takes_no_more_memory(narrow_file: Path) -> None:
    """By measuring: what four runs hold is what was predicted, at most, and it can be had back."""
    predicted, kept, rest = memory_kept(narrow_file, shrink_from=10**12)
    assert 0.4 * predicted < kept[0] < predicted  # else this measures nothing
    assert max(kept) < predicted
    assert max(kept) < 1.3 * kept[0]  # a second block would make it 1.8
    assert rest < 0.3 * predicted


def test_one_large_run_gives_its_memory_back_and_a_film_keeps_it(narrow_file: Path) -> None:
    predicted, kept, _ = memory_kept(narrow_file, shrink_from=0)
    assert kept[0] < 0.3 * predicted
    assert min(kept[1:]) > 0.5 * predicted


# --- files that are no style model ---------------------------------------------------------------


def test_no_file(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "none.onnx")
    assert "folder" in refused(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n" + bytes(64), b"hello" * 50])
def test_other_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "style.onnx"
    path.write_bytes(content)
    assert refused(path).startswith(f"{path} ")
    assert refused(content).startswith("the model ")


def test_a_huge_file_is_not_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "huge.onnx"
    monkeypatch.setattr(infer.model_file, "MAX_BYTES", 1_000_000)
    path.write_bytes(bytes(1_000_001))
    monkeypatch.setattr(onnx, "load_model_from_string", None)  # a call of it would raise
    assert "larger than 1 MB" in refused(path)


def test_damage_never_escapes_as_another_error(changed: Callable[[Change], Path]) -> None:
    """By invariant: a damaged file is refused in one line, or still paints; nothing else.

    Without a hash; test_model_corpus damages files that have one.
    """
    whole, rng = changed(lambda proto: None).read_bytes(), np.random.default_rng(2)
    image = np.zeros((1, 2, 2, 3), np.uint8)
    refusals: list[str] = []
    for case in range(400):
        data = bytearray(whole)
        position = int(rng.integers(len(data)))
        if case % 4 == 0:
            del data[position:]
        else:
            data[position] ^= 1 << int(rng.integers(8))
        try:
            assert open_session(bytes(data), "cpu").run(image).shape == image.shape
        except NSTError as error:
            refusals.append(str(error))
    assert all(message.isprintable() for message in refusals)
    assert 200 < len(refusals) < 380  # else the mutations test nothing


# --- files that reach outside --------------------------------------------------------------------


def external(name: str, location: Path) -> TensorProto:
    """One byte of another file as a tensor."""
    tensor = TensorProto(name=name, data_type=TensorProto.UINT8)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location.name, "offset": "0", "length": "1"}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def test_a_hard_link_to_another_file_is_not_read(
    changed: Callable[[Change], Path], tmp_path: Path
) -> None:
    """By another implementation: ONNX Runtime alone follows the link and paints with its byte."""
    (tmp_path / "elsewhere").mkdir()
    secret = tmp_path / "elsewhere" / "secret.bin"
    secret.write_bytes(bytes([77]))
    link = tmp_path / "weights.bin"
    os.link(secret, link)

    def use_link(proto: ModelProto) -> None:
        proto.graph.initializer[0].CopyFrom(external("white", link))

    path = changed(use_link)
    runtime = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert runtime.run(None, {INPUT: np.zeros((1, 1, 1, 3), np.uint8)})[0].max() == 77
    assert "another file" in refused(path)


def inside_constant(proto: ModelProto, tensor: TensorProto) -> None:
    proto.graph.node.append(helper.make_node("Constant", [], ["white_2"], value=tensor))


def inside_list(proto: ModelProto, tensor: TensorProto) -> None:
    node = helper.make_node("Constant", [], ["white_2"])
    node.attribute.add(name="values").tensors.append(tensor)
    proto.graph.node.append(node)


def inside_sparse(proto: ModelProto, tensor: TensorProto) -> None:
    proto.graph.sparse_initializer.add().values.CopyFrom(tensor)


def inside_branch(proto: ModelProto, tensor: TensorProto) -> None:
    branch = helper.make_graph([], "branch", [], [], [tensor])
    proto.graph.node.append(helper.make_node("If", ["c"], ["y"], then_branch=branch))


@pytest.mark.parametrize("place", [inside_constant, inside_list, inside_sparse, inside_branch])
def test_every_place_of_a_tensor_is_looked_at(
    changed: Callable[[Change], Path],
    tmp_path: Path,
    place: Callable[[ModelProto, TensorProto], None],
) -> None:
    path = changed(lambda proto: place(proto, external("t", tmp_path / "weights.bin")))
    assert "another file" in refused(path)


def test_foreign_operators_are_refused(changed: Callable[[Change], Path]) -> None:
    def foreign(proto: ModelProto) -> None:
        proto.graph.node[0].domain = "com.microsoft"

    assert "com.microsoft.Sub" in refused(changed(foreign))


def test_foreign_operators_in_a_branch_are_refused(changed: Callable[[Change], Path]) -> None:
    def foreign(proto: ModelProto) -> None:
        node = helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft")
        branch = helper.make_graph([node], "branch", [], [])
        proto.graph.node.append(helper.make_node("If", ["c"], ["y"], then_branch=branch))

    assert "com.microsoft.Gelu" in refused(changed(foreign))


def test_operators_of_its_own_are_refused(changed: Callable[[Change], Path]) -> None:
    def own(proto: ModelProto) -> None:
        opset = helper.make_opsetid("", 18)
        node = helper.make_node("Relu", ["x"], ["y"])
        proto.functions.append(helper.make_function("mine", "F", ["x"], ["y"], [node], [opset]))

    assert "operators of its own" in refused(changed(own))


def test_an_operator_that_does_not_exist(changed: Callable[[Change], Path]) -> None:
    """The checks let it pass, ONNX Runtime does not: its words in one line of ours."""

    def unknown(proto: ModelProto) -> None:
        proto.graph.node[0].op_type = "Paint"

    assert "cannot be loaded" in refused(changed(unknown))


# --- files that do not follow the contract -------------------------------------------------------


def test_a_model_of_another_program(changed: Callable[[Change], Path]) -> None:
    def forget(proto: ModelProto) -> None:
        del proto.metadata_props[:]

    assert "nst export" in refused(changed(forget))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("schema", "2", "schema 2"),
        ("styles", "5", "nst.styles"),
        ("styles", "[]", "no style"),
        ("styles", "[5]", "damaged"),
        ("bytes_per_pixel", '"many"', "nst.bytes_per_pixel"),
        ("bytes_per_pixel", "0", "damaged"),
        ("reach_px", "-1", "damaged"),
        ("width", "null", "nst.width"),
        ("training", "[]", "nst.training"),
        ("parity", "{", "nst.parity"),
        ("controls", '"global"', "its input mix is not that of 1 styles, global"),
        ("controls", '"warp"', "unknown control"),
    ],
)
def test_metadata_that_cannot_be_used(
    changed: Callable[[Change], Path], key: str, value: str, words: str
) -> None:
    def alter(proto: ModelProto) -> None:
        entry = next(e for e in proto.metadata_props if e.key == f"nst.{key}")
        entry.value = value

    assert words in refused(changed(alter))


FREE: list[str | int | None] = [*DIMENSIONS, 3]


@pytest.mark.parametrize(
    ("name", "kind", "shape", "words"),
    [
        ("picture", TensorProto.UINT8, FREE, "`image` alone, found picture"),
        (INPUT, TensorProto.FLOAT, FREE, "found float (batch, height, width, 3)"),
        (INPUT, TensorProto.UINT8, ["n", 3, "h", "w"], "found uint8 (n, 3, h, w)"),
        (INPUT, TensorProto.UINT8, [*DIMENSIONS, 4], "found uint8 (batch, height, width, 4)"),
        (INPUT, TensorProto.UINT8, [1, 256, 256, 3], "of any size"),
        (INPUT, TensorProto.UINT8, ["height", "width", 3], "found uint8 (height, width, 3)"),
    ],
)
def test_another_input(
    changed: Callable[[Change], Path],
    name: str,
    kind: int,
    shape: list[str | int | None],
    words: str,
) -> None:
    def alter(proto: ModelProto) -> None:
        proto.graph.input[0].CopyFrom(helper.make_tensor_value_info(name, kind, shape))

    assert words in refused(changed(alter))


def test_another_output(changed: Callable[[Change], Path]) -> None:
    def rename(proto: ModelProto) -> None:
        proto.graph.output[0].name = "painting"

    assert f"`{OUTPUT}` alone, found painting" in refused(changed(rename))


def test_a_second_input(changed: Callable[[Change], Path]) -> None:
    def add(proto: ModelProto) -> None:
        proto.graph.input.append(helper.make_tensor_value_info("mix", TensorProto.FLOAT, ["n"]))

    assert "found image, mix" in refused(changed(add))


def test_a_model_that_changes_the_size(changed: Callable[[Change], Path]) -> None:
    """The contract cannot be read off the file here, so the first run tells."""

    def double(proto: ModelProto) -> None:
        node = helper.make_node("Concat", [INPUT, INPUT], [OUTPUT], axis=1)
        proto.graph.node[0].CopyFrom(node)
        proto.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "more"

    session = open_session(changed(double), "cpu")
    with pytest.raises(ModelError, match=r"paints \(1, 4, 5, 3\) as uint8 \(1, 8, 5, 3\)"):
        session.run(np.zeros((1, 4, 5, 3), np.uint8))


# --- providers -----------------------------------------------------------------------------------

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
TENSORRT, COREML, DML = (f"{name}ExecutionProvider" for name in ("Tensorrt", "CoreML", "Dml"))


@pytest.mark.parametrize(
    ("listed", "best"),
    [
        ([TENSORRT, CUDA, CPU], CUDA),  # Linux and Windows, onnxruntime-gpu
        ([COREML, "AzureExecutionProvider", CPU], CPU),  # macOS
        ([DML, CPU], DML),  # Windows, onnxruntime-directml
        (["AzureExecutionProvider", CPU], CPU),  # onnxruntime elsewhere
    ],
)
def test_auto_asks_for_the_best_that_is_listed(listed: list[str], best: str) -> None:
    """By hand, from the lists that the wheels of ONNX Runtime have."""
    assert providers.choose("auto", listed) == best


def test_the_list_is_never_left_to_the_runtime() -> None:
    """By hand; that of TensorRT with a model stands in test_infer_bound."""
    listed = [TENSORRT, CUDA, CPU]
    assert providers.with_options(CPU, listed) == [CPU]
    first, last = providers.with_options(CUDA, listed)
    assert not isinstance(first, str)
    name, options = first
    assert (name, last) == (CUDA, CPU)
    assert options["cudnn_conv_algo_search"] == "HEURISTIC"
    assert options["enable_cuda_graph"] == "0"
    assert providers.with_options(TENSORRT, listed) == [TENSORRT, (CUDA, options), CPU]


def test_a_provider_of_no_name(invert_model: Path) -> None:
    with pytest.raises(UsageError, match="--provider must be one of auto, cpu"):
        open_session(invert_model, "gpu")  # type: ignore[arg-type]


def test_a_provider_that_this_build_has_not(
    invert_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    with pytest.raises(InferenceError, match=r"has only CPU here.*onnxruntime-gpu"):
        open_session(invert_model, "cuda")


class Runtime:
    """Stands for an ONNX Runtime session on hardware that is not here."""

    def __init__(self, obtained: str, error: Exception | None = None) -> None:
        self.obtained, self.error = obtained, error

    def get_providers(self) -> list[str]:
        return [self.obtained, CPU]

    def run(
        self, names: list[str], feed: dict[str, NDArray[np.uint8]], options: object = None
    ) -> Any:
        if self.error is not None:
            raise self.error
        return [255 - feed[INPUT]]


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Stand for a machine: what is listed, what a session gets, whether there is a GPU."""

    def make(
        listed: list[str], *, has_gpu: bool, missing: str = "", error: Exception | None = None
    ) -> None:
        def create(model: bytes, chain: list[Any], *, threads: int) -> Runtime:
            if error is not None and chain != [CPU]:
                raise error
            return Runtime(CPU)

        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: listed)
        monkeypatch.setattr(infer.session, "load_cuda_libraries", lambda: missing)
        monkeypatch.setattr(infer.session, "create_session", create)
        monkeypatch.setattr(providers, "has_nvidia_gpu", lambda: has_gpu)

    return make


def test_far_too_many_threads_are_refused(
    invert_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: they would take the memory of the machine before the first of them paints."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert open_session(invert_model, threads=8).obtained == "CPU"
    with pytest.raises(UsageError, match="must be 0 to 8, got 9; this machine has 2 cores"):
        open_session(invert_model, threads=9)


def test_auto_says_what_it_got_and_why(invert_model: Path, runtime: Callable[..., None]) -> None:
    """By hand: nobody asked for CUDA, and without a GPU nothing is wrong."""
    runtime([TENSORRT, CUDA, CPU], has_gpu=False, missing="Failed to load libcudnn.so.9")
    session = open_session(invert_model)
    assert (session.asked, session.obtained) == ("auto", "CPU")
    line = "provider: asked auto, got CPU (not CUDA: no NVIDIA GPU here)"
    assert session.describe_provider() == line
    runtime([CPU], has_gpu=False)
    assert open_session(invert_model).describe_provider() == "provider: asked auto, got CPU"


def test_auto_beside_a_gpu_says_what_keeps_it_from_it(
    invert_model: Path, runtime: Callable[..., None]
) -> None:
    runtime([CUDA, CPU], has_gpu=True, missing="Failed to load libcudnn.so.9")
    line = open_session(invert_model).describe_provider()
    assert line.endswith("got CPU (not CUDA: Failed to load libcudnn.so.9)")
    runtime([CUDA, CPU], has_gpu=True)
    line = open_session(invert_model).describe_provider()
    assert line.endswith("got CPU (not CUDA: see `nst doctor`)")
    runtime([CPU], has_gpu=True)
    line = open_session(invert_model).describe_provider()
    assert "not CUDA: this ONNX Runtime is built without it, see `nst doctor`" in line


def test_a_provider_that_was_named_is_obtained_or_refused(
    invert_model: Path, runtime: Callable[..., None]
) -> None:
    runtime([CUDA, CPU], has_gpu=False)
    words = r"asked CUDA, got CPU \(no NVIDIA GPU here\); .*--provider cpu"
    with pytest.raises(InferenceError, match=words):
        open_session(invert_model, "cuda")
    session = open_session(invert_model, "cpu")
    assert session.describe_provider() == "provider: asked CPU, got CPU"


def test_a_provider_that_raises(invert_model: Path, runtime: Callable[..., None]) -> None:
    """An old driver raises at creation: auto goes on and gives the reason, a name is refused."""
    old = RuntimeError("[ONNXRuntimeError] : 1 : FAIL : CUDA driver version\n is insufficient")
    runtime([CUDA, CPU], has_gpu=True, error=old)
    line = open_session(invert_model).describe_provider()
    assert line.endswith("got CPU (not CUDA: CUDA driver version is insufficient)")
    with pytest.raises(InferenceError, match="driver version is insufficient"):
        open_session(invert_model, "cuda")


def test_a_gpu_without_kernels_is_not_taken(
    invert_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CUDA loads on a GPU that is too old, and the first run fails (pykeio/ort, issue 589)."""
    old = RuntimeError("CUDA error cudaErrorNoKernelImageForDevice")

    def create(model: bytes, chain: list[Any], *, threads: int) -> Runtime:
        return Runtime(CPU) if chain == [CPU] else Runtime(CUDA, old)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(infer.session, "load_cuda_libraries", lambda: "")
    monkeypatch.setattr(infer.session, "create_session", create)
    monkeypatch.setattr(providers, "has_nvidia_gpu", lambda: True)
    line = open_session(invert_model).describe_provider()
    assert line.endswith("got CPU (not CUDA: CUDA error cudaErrorNoKernelImageForDevice)")
    with pytest.raises(InferenceError, match="cudaErrorNoKernelImageForDevice"):
        open_session(invert_model, "cuda")


@pytest.mark.parametrize(("provider", "at_once"), [(DML, 1), (CPU, 2)])
def test_a_device_with_memory_of_its_own_does_one_thing_at_a_time(
    invert_model: Path, provider: str, at_once: int
) -> None:
    """By hand: two threads, each of which waits for the other for a moment."""
    inside: list[int] = []
    most: list[int] = []

    class Slow(Runtime):
        def run(self, *given: Any, **more: Any) -> Any:
            inside.append(1)
            deadline = time.monotonic() + 0.3
            while len(inside) < 2 and time.monotonic() < deadline:
                time.sleep(0.001)
            most.append(len(inside))
            time.sleep(0.05)
            inside.pop()
            return super().run(*given, **more)

    session = infer.session.Session(Slow(provider), read_model(invert_model), asked="auto")
    picture = np.zeros((1, 4, 6, 3), np.uint8)
    threads = [threading.Thread(target=session.run, args=(picture,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == at_once


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0"),
        RuntimeError("bfc_arena.cc:360 Failed to allocate memory for requested buffer of size 9"),
        RuntimeError("CUDA failure 2: out of memory ; GPU=0"),
        RuntimeError("std::bad_alloc"),
    ],
)
def test_out_of_memory_is_recognised(invert_model: Path, error: Exception) -> None:
    """By the words of ONNX Runtime 1.31 and of CUDA."""
    session = infer.session.Session(Runtime(CUDA, error), read_model(invert_model), asked="CUDA")
    assert session.has_own_memory
    with pytest.raises(InferenceError, match=r"CUDA has not enough memory for 6x4 px; .*--size"):
        session.run(np.zeros((1, 4, 6, 3), np.uint8))


def test_other_failures_keep_the_words_of_the_runtime(invert_model: Path) -> None:
    error = RuntimeError("[ONNXRuntimeError] : 1 : FAIL : Non-zero status\ncode " + "x" * 500)
    session = infer.session.Session(Runtime(CPU, error), read_model(invert_model), asked="CPU")
    with pytest.raises(InferenceError, match="failed on 2 pictures of 6x4 px") as caught:
        session.run(np.zeros((2, 4, 6, 3), np.uint8))
    assert "Non-zero status code" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_the_runtime_is_silent(
    invert_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its C++ lines on stderr and its prints on stdout, where a picture may go, do not appear."""
    open_session(invert_model)  # with onnxruntime-gpu and no GPU, red lines otherwise
    for name in providers.LABELS:
        if name in onnxruntime.get_available_providers():
            provider = next(key for key, value in NAMES.items() if value == name)
            with contextlib.suppress(InferenceError):
                open_session(invert_model, provider)
    assert capfd.readouterr() == ("", "")


NAMES: dict[Provider, str] = {
    "cpu": CPU,
    "cuda": CUDA,
    "tensorrt": TENSORRT,
    "coreml": COREML,
    "dml": DML,
}
