"""Fixtures that several test files share: small pictures, a small style model, tolerances."""

from __future__ import annotations

import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

if "PYTEST_XDIST_WORKER" in os.environ:
    # There is a worker for each processor: threads of their own would wait for each other. It has
    # to be said before torch is imported, and holds for child processes too.
    os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from PIL import Image

from nst.contract import DIMENSIONS, INPUT, MIX, MIX_DIMENSIONS, OUTPUT, TEXTURE, ModelInfo
from nst.seal import sealed

if TYPE_CHECKING:
    from nst.transformer import TransformerNet
    from nst.weights import VGGWeights
    from train.reading import Reading


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep decoded photographs out of the user's cache, and the user's models out of the tests.

    Those of child processes too.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NST_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("NST_DATA", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[[str, object], None]:
    """Note a figure of a test: ``pytest -v`` prints all of them at its end."""
    return lambda name, value: request.node.user_properties.append((name, value))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests that passed have noted with ``measured``."""
    passed = terminalreporter.stats.get("passed", []) if terminalreporter.verbosity > 0 else []
    for report in passed:
        for name, value in report.user_properties if report.when == "call" else ():
            terminalreporter.write_line(f"{report.nodeid}: {name} {value}")


@pytest.fixture
def said() -> list[str]:
    """What ``reading`` announces."""
    return []


@pytest.fixture
def reading(said: list[str], tmp_path: Path) -> Reading:
    """Photographs are read by two threads into a cache of the test's own."""
    from nst.terminal import progress
    from train.reading import Reading

    return Reading(announce=said.append, progress=progress, cache=tmp_path / "cache", workers=2)


@pytest.fixture
def photo() -> NDArray[np.uint8]:
    """A small photograph-like picture, 48x64: a gradient, a disc, a little noise."""
    rows, columns = np.mgrid[0:48, 0:64].astype(np.float64)
    picture = np.stack([columns * 4, rows * 5, 255 - columns * 2 - rows * 2], axis=-1)
    picture[(rows - 24) ** 2 + (columns - 20) ** 2 < 100] = (220, 60, 40)
    noise = np.random.default_rng(0).normal(0, 4, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def invert_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the contract made by hand, without torch: it paints the negative, 255 - image."""
    path = tmp_path_factory.mktemp("model") / "invert.onnx"
    shape: list[str | int | None] = [*DIMENSIONS, 3]
    graph = helper.make_graph(
        [helper.make_node("Sub", ["white", INPUT], [OUTPUT], name="negative")],
        "invert",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.UINT8, shape)],
        [helper.make_tensor("white", TensorProto.UINT8, [], [255])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    info = ModelInfo(
        styles=("negative",),
        style_sha256=("0" * 64,),
        network="johnson",
        width=8,
        reach_px=0,
        size_multiple=1,
        bytes_per_pixel=6,
        made_with="tests",
    )
    helper.set_model_props(model, info.to_metadata())
    path.write_bytes(sealed(model))
    return path


@pytest.fixture(scope="session")
def mix_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A regional file of two styles with a texture, made by hand, without torch.

    A style is a convolution of 3x3 behind a reflecting border, a norm and a sigmoid; the mix is
    resized to the picture, as in the networks.
    """
    path = tmp_path_factory.mktemp("model") / "Two Styles.onnx"
    random, styles = np.random.default_rng(5), ("wave", "scream")
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def constant(name: str, values: object, kind: int = TensorProto.FLOAT) -> str:
        array = np.array(values)
        constants.append(helper.make_tensor(name, kind, array.shape, array.ravel().tolist()))
        return name

    def node(operator: str, inputs: Sequence[str], output: str, **options: Any) -> str:
        nodes.append(helper.make_node(operator, inputs, [output], name=f"n_{output}", **options))
        return output

    whole = TensorProto.INT64
    floats = node("Cast", [INPUT], "floats", to=TensorProto.FLOAT)
    planes = node("Transpose", [floats], "planes", perm=[0, 3, 1, 2])
    unit = node("Div", [planes, constant("white", 255.0)], "unit")
    around = constant("around", [0, 0, 1, 1, 0, 0, 1, 1], whole)
    padded = node("Pad", [unit, around], "padded", mode="edge")
    total = node("ReduceSum", [MIX, constant("one", [1], whole)], "total", keepdims=1)
    shares = node("Div", [MIX, total], "shares")
    size = node(
        "Slice",
        [
            node("Shape", [unit], "shape"),
            *(constant(n, [v], whole) for n, v in (("two", 2), ("four", 4))),
        ],
        "size",
    )
    head = node(
        "Slice",
        [
            node("Shape", [shares], "grid"),
            *(constant(n, [v], whole) for n, v in (("start", 0), ("end", 2))),
        ],
        "head",
    )
    sizes = node("Concat", [head, size], "sizes", axis=0)
    grid = node("Resize", [shares, "", "", sizes], "places", mode="linear")
    parts = [f"part_{k}" for k in range(len(styles) + 1)]
    nodes.append(helper.make_node("Split", [grid], parts, axis=1, num_outputs=len(parts)))
    summed = node("Mul", [unit, parts[0]], "sum_0")
    strokes = constant("strokes", 0.05 * random.standard_normal((1, 3, 1, 1)))
    lively = node("Mul", [strokes, TEXTURE], "lively")
    for k, _ in enumerate(styles, start=1):
        weight = constant(f"weight_{k}", random.standard_normal((3, 3, 3, 3)))
        felt = node("Conv", [padded, weight], f"felt_{k}")
        scale = constant(f"scale_{k}", 1 + random.random(3))
        shift = constant(f"shift_{k}", random.standard_normal(3))
        normed = node("InstanceNormalization", [felt, scale, shift], f"normed_{k}")
        painted = node("Sigmoid", [node("Add", [normed, lively], f"alive_{k}")], f"painted_{k}")
        share = node("Mul", [painted, parts[k]], f"share_{k}")
        summed = node("Add", [summed, share], f"sum_{k}")
    grey = node("Round", [node("Mul", [summed, "white"], "bright")], "grey")
    clipped = node("Clip", [grey, constant("low", 0.0), "white"], "clipped")
    rows = node("Transpose", [clipped], "rows", perm=[0, 2, 3, 1])
    node("Cast", [rows], OUTPUT, to=TensorProto.UINT8)
    constant(TEXTURE, [1.0])

    shape: list[str | int | None] = [*DIMENSIONS, 3]
    mix_shape: list[str | int | None] = [MIX_DIMENSIONS[0], len(styles) + 1, *MIX_DIMENSIONS[1:]]
    graph = helper.make_graph(
        nodes,
        "two-styles",
        [
            helper.make_tensor_value_info(INPUT, TensorProto.UINT8, shape),
            helper.make_tensor_value_info(TEXTURE, TensorProto.FLOAT, [1]),
            helper.make_tensor_value_info(MIX, TensorProto.FLOAT, mix_shape),
        ],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.UINT8, shape)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    info = ModelInfo(
        styles=styles,
        style_sha256=("0" * 64, "1" * 64),
        network="swift",
        width=8,
        reach_px=1,
        size_multiple=1,
        bytes_per_pixel=80,
        controls="regional",
        made_with="tests",
    )
    helper.set_model_props(model, info.to_metadata())
    onnx.save(model, path)
    return path


@pytest.fixture(scope="session")
def serving() -> Callable[..., AbstractContextManager[int]]:
    """Run the server of the studio, with some model files, in a thread; the value is its port."""
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    from infer.server import create_app, server_of
    from infer.shelf import open_shelf

    @contextmanager
    def serve(*models: Path, port: int = 0, **options: Any) -> Iterator[int]:
        server = server_of(create_app(open_shelf(models, "cpu"), **options))
        with socket.create_server(("127.0.0.1", port)) as listener:
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
            thread.start()
            try:
                yield listener.getsockname()[1]
            finally:
                server.should_exit = True
                thread.join(20)
                assert not thread.is_alive()

    return serve


@pytest.fixture(scope="session")
def tiny_vgg() -> VGGWeights:
    """A random VGG-19 of all sixteen convolutions, 4 to 8 channels wide: quick, paints nothing."""
    import torch  # here, because most tests need no torch

    from nst.weights import CONVOLUTIONS, VGGWeights

    generator = torch.Generator().manual_seed(0)
    tensors, channels = {}, 3
    for name in CONVOLUTIONS:
        width = {"conv1": 4, "conv2": 6}.get(name[:5], 8)
        shape = (width, channels, 3, 3)
        deviation = (2 / (9 * channels)) ** 0.5  # activations keep their size (He et al. 2015)
        tensors[f"{name}.weight"] = deviation * torch.randn(shape, generator=generator)
        tensors[f"{name}.bias"] = 0.1 * torch.rand(width, generator=generator)
        channels = width
    return VGGWeights(tensors=tensors, source="a tiny VGG-19")


def picture(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """A small photograph-like picture, uint8 (height, width, 3): a gradient and a disc, noisy."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float64)
    rows, columns = rows / height, columns / width
    colours = random.uniform(0, 255, (3, 3))
    made: NDArray[np.float64] = rows[..., None] * colours[0] + columns[..., None] * colours[1]
    centre = random.uniform(0.3, 0.7, 2)
    made[(rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < 0.05] = colours[2]
    noisy: NDArray[np.float64] = np.clip(made + random.normal(0, 5, made.shape), 0, 255)
    return noisy.astype(np.uint8)


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve small photographs of every kind, some in folders called train/ and val/."""
    folder = tmp_path_factory.mktemp("photos")
    for name in ("train/cat", "val"):
        (folder / name).mkdir(parents=True)
    for index in range(12):
        place = ("", "train", "train/cat", "val")[index % 4]
        image = Image.fromarray(picture(70 + index, 90 - 2 * index, index))
        suffix = ("png", "jpg", "webp")[index % 3]
        if index == 3:
            image = image.convert("L")
        if index == 6:
            image.putalpha(Image.linear_gradient("L").resize(image.size))
        exif = Image.Exif()
        if index == 4:  # lying on its side
            exif[0x0112] = 6
        image.save(folder / place / f"{index:02d}.{suffix}", exif=exif)
    return folder


@pytest.fixture(scope="session")
def style_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A style image of 64x48 px in strong colours."""
    path = tmp_path_factory.mktemp("style") / "Starry Night.png"
    stripes = np.tile(np.repeat([0, 255], 4), 8)[None, :, None].astype(np.uint8)
    Image.fromarray(picture(48, 64, 99) // 2 + stripes // 2).save(path)
    return path


@pytest.fixture(scope="session")
def vgg_file(tiny_vgg: VGGWeights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny VGG-19 in a file that stops at relu3_4."""
    from safetensors.torch import save_file

    path = tmp_path_factory.mktemp("vgg") / "tiny-vgg19.safetensors"
    kept = {name: tensor for name, tensor in tiny_vgg.tensors.items() if name < "conv4"}
    save_file(kept, path)
    return path


@pytest.fixture(scope="session")
def write_hub_layout() -> Callable[..., None]:
    """Write a parquet file laid out as the hub's MS-COCO, three rows in a group."""

    def write(path: Path, pictures: Sequence[bytes], first: int = 0) -> None:
        import datasets
        import pyarrow as pa
        import pyarrow.parquet as pq

        whole, number = datasets.Value("int64"), datasets.Value("float32")
        features = datasets.Features(
            {
                "image_id": whole,
                "image": datasets.Image(),
                "width": whole,
                "height": whole,
                "objects": {
                    "bbox_id": datasets.List(whole),
                    "category": datasets.List(whole),
                    "bbox": datasets.List(datasets.List(number, length=4)),
                    "area": datasets.List(whole),
                },
            }
        )
        rows = [
            {
                "image_id": row,
                "image": {"bytes": picture, "path": f"{row:012d}.jpg"},
                "width": 640,
                "height": 480,
                "objects": {"bbox_id": [1], "category": [2], "bbox": [[0, 1, 2, 3]], "area": [4]},
            }
            for row, picture in enumerate(pictures, start=first)
        ]
        path.parent.mkdir(parents=True, exist_ok=True)
        table = pa.Table.from_pylist(rows, schema=features.arrow_schema)
        pq.write_table(table, path, row_group_size=3)

    return write


@pytest.fixture
def exit_code() -> Callable[..., int | str | None]:
    """Run ``nst`` with some arguments in this process; its exit code."""
    from nst.cli import main

    def run(*arguments: str | Path) -> int | str | None:
        with pytest.raises(SystemExit) as end:
            main(list(map(str, arguments)))
        return end.value.code

    return run


@pytest.fixture
def few_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an export be compared on the small sizes alone: the tests of the export see the large."""
    from export.parity import Case, Parity, check_parity
    from nst.contract import Controls
    from nst.network import StyleNetwork

    def check(
        network: StyleNetwork,
        model: bytes,
        cases: Sequence[Case],
        *,
        controls: Controls,
        source: str,
    ) -> tuple[Parity, ...]:
        return check_parity(network, model, cases[:3], controls=controls, source=source)

    monkeypatch.setattr("export.to_onnx.check_parity", check)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Compute as a child process with OMP_NUM_THREADS=1 does, so that results can be compared.

    For the rest of a file, so that what its tests share is made in the same way.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny_network() -> TransformerNet:
    """A random network of the real depth, 4 channels wide; nobody may change it."""
    import torch

    from nst.transformer import TransformerNet

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = TransformerNet(4).eval()
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if "norm" in name:  # else all alike, and the exporter keeps one for all
                    parameter.add_(torch.randn_like(parameter), alpha=0.2)
            # Random weights paint an even grey; this spreads the tones over most of [0, 255].
            network.to_rgb.conv.weight *= 6
    return network


@pytest.fixture(scope="session")
def tiny_model(tiny_network: TransformerNet) -> onnx.ModelProto:
    """``tiny_network`` as it was traced, without metadata; tracing takes seconds, so do it once."""
    from export.to_onnx import to_model

    return to_model(tiny_network)


CHILD = """
import os, sys
for number, path in ((1, out), (2, err)):
    os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
os.chdir(folder)
import torch
torch.set_num_threads(1)
sys.argv = ["nst", *arguments]
exec(program, {"__name__": "__main__"})
"""


@dataclass(frozen=True)
class Child:
    """A program in a process of its own, which real signals can reach."""

    process: BaseProcess
    out: Path
    err: Path

    def send(self, number: int) -> None:
        """Send it a signal."""
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def wait(self) -> int | None:
        """Wait for its end; the exit code, or minus the signal that killed it."""
        self.process.join(60)
        return self.process.exitcode


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Child]]:
    """Start a program, ``nst`` by default, with some arguments, on one thread, in ``tmp_path``.

    Processes are forked from a server that has imported torch already, which takes seconds.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch._dynamo", "datasets", "train.setup", "nst.optimize"])
    children: list[BaseProcess] = []

    def start_one(
        *arguments: str | Path, program: str = "from nst.cli import main; main()"
    ) -> Child:
        out, err = (tmp_path / f"{name}-{len(children)}.txt" for name in ("out", "err"))
        names = {
            "out": out,
            "err": err,
            "folder": tmp_path,
            "arguments": list(map(str, arguments)),
            "program": program,
        }
        process = context.Process(target=exec, args=(CHILD, names), daemon=True)
        process.start()
        children.append(process)
        return Child(process, out, err)

    yield start_one
    for process in children:
        process.kill()
        process.join()
        process.close()


@pytest.fixture(scope="session")
def wait_until() -> Callable[[Callable[[], bool]], None]:
    """Wait until something holds, a minute at most."""

    def wait(holds: Callable[[], bool]) -> None:
        end_at = time.monotonic() + 60
        while not holds():
            assert time.monotonic() < end_at, "waited for a minute"
            time.sleep(0.02)

    return wait
