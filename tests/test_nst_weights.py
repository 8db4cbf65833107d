"""VGG-19 files. Truth: by hand, on files of a few kilobytes made here."""

from __future__ import annotations

import gc
import hashlib
import os
import re
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import nst.download
import nst.weights
from nst.encoder import VGG19
from nst.errors import WeightsError
from nst.weights import (
    CONVOLUTIONS,
    ENVIRONMENT,
    IMAGENET_MEAN,
    IMAGENET_STD,
    TORCHVISION_SHA256,
    find_weights,
    hash_of_tensors,
    load_weights,
    torchvision_cache,
    torchvision_url,
)

TORCHVISION_KEYS = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
"""N of ``features.N.weight``; test_nst_encoder compares the layers with torchvision's network."""


def state(
    convolutions: int = 16, *, torchvision: bool = False, width: int = 2
) -> dict[str, Tensor]:
    """A random state_dict up to some convolution, two channels wide."""
    generator = torch.Generator().manual_seed(0)
    tensors, channels = {}, 3
    for name, index in list(zip(CONVOLUTIONS, TORCHVISION_KEYS, strict=True))[:convolutions]:
        key = f"features.{index}" if torchvision else name
        tensors[f"{key}.weight"] = torch.randn(width, channels, 3, 3, generator=generator)
        tensors[f"{key}.bias"] = torch.randn(width, generator=generator)
        channels = width
    return tensors


def one_line(error: pytest.ExceptionInfo[WeightsError], path: Path) -> str:
    """The message, which is one line and names the file."""
    message = str(error.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def safetensors(path: Path, tensors: dict[str, Tensor], **metadata: str) -> Path:
    save_file(tensors, path, metadata=metadata or None)
    return path


def assert_same(found: Any, expected: dict[str, Tensor]) -> None:
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize("form", ["safetensors", "zip", "before zip"])
@pytest.mark.parametrize("torchvision", [False, True])
def test_formats_and_keys(tmp_path: Path, form: str, torchvision: bool) -> None:
    """torchvision's own file for VGG-19 dates from 2017, the format before zip."""
    tensors = state(16, torchvision=torchvision)
    path = tmp_path / ("vgg.safetensors" if form == "safetensors" else "vgg.pth")
    if form == "safetensors":
        save_file(tensors, path)
    else:
        extra = {"classifier.0.weight": torch.zeros(2, 2)} if torchvision else {}
        together = OrderedDict(tensors | extra)
        torch.save(together, path, _use_new_zipfile_serialization=form == "zip")
    found = load_weights(path)
    kept = {key: found.tensors[key] for key in state(16)}
    assert_same(kept, state(16))
    assert found.convolutions == CONVOLUTIONS
    assert (found.mean, found.std) == (IMAGENET_MEAN, IMAGENET_STD)
    assert (found.padding, found.pooling, found.ceil_mode) == ("zeros", "max", False)
    assert found.source == str(path)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("convolutions", range(1, 17))
def test_it_may_stop_at_any_layer(tmp_path: Path, convolutions: int) -> None:
    found = load_weights(safetensors(tmp_path / "vgg.safetensors", state(convolutions)))
    deepest = CONVOLUTIONS[convolutions - 1].replace("conv", "relu")
    assert found.deepest_layer == deepest
    VGG19(found, deepest=deepest)
    if convolutions < 16:
        behind = CONVOLUTIONS[convolutions]
        with pytest.raises(WeightsError, match=f"ends at {deepest}, before {behind}"):
            VGG19(found, deepest=behind)


def test_other_tensors_are_left_alone(tmp_path: Path) -> None:
    extra = {"conv1_1_to_vgg19.weight": torch.zeros(1), "classifier.6.bias": torch.zeros(1)}
    found = load_weights(safetensors(tmp_path / "vgg.safetensors", state(3) | extra))
    assert_same(found.tensors, state(3))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    tensors = {name: tensor.to(dtype) for name, tensor in state(2).items()}
    found = load_weights(safetensors(tmp_path / "vgg.safetensors", tensors))
    assert_same(found.tensors, {name: tensor.float() for name, tensor in tensors.items()})


def without(*names: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state(6).items() if name not in names}


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (without("conv2_1.weight", "conv2_1.bias"), "layers are missing before conv2_2"),
        (without("conv1_1.weight", "conv1_1.bias"), "no VGG-19 weights in it"),
        (without("conv3_2.bias"), "layers are missing before conv3_2.weight"),
        ({}, "no VGG-19 weights in it"),
        ({"fc.weight": torch.zeros(3, 3)}, "no VGG-19 weights in it"),
        (state(3) | {"conv1_2.weight": torch.zeros(2, 5, 3, 3)}, r"conv1_2 has weights \(2, 5"),
        (state(3) | {"conv1_2.weight": torch.zeros(2, 2, 5, 5)}, r"not \(N, 2, 3, 3\) and \(N,\)"),
        (state(3) | {"conv1_2.weight": torch.zeros(2)}, r"conv1_2 has weights \(2,\)"),
        (state(3) | {"conv1_1.bias": torch.zeros(7)}, r"conv1_1 has weights .* and \(7,\)"),
        (state(3) | {"conv2_1.bias": torch.tensor([0.0, torch.nan])}, "conv2_1 .* not finite"),
        (
            state(3) | {"conv1_2.weight": torch.full((2, 2, 3, 3), torch.inf)},
            "conv1_2 .* not finite",
        ),
    ],
)
def test_what_is_no_vgg19_is_refused(
    tmp_path: Path, tensors: dict[str, Tensor], message: str
) -> None:
    path = safetensors(tmp_path / "vgg.safetensors", tensors)
    with pytest.raises(WeightsError, match=message) as error:
        load_weights(path)
    one_line(error, path)


class Malice:
    """Runs a command when it is unpickled by a careless reader."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_malicious_pickle_does_nothing(tmp_path: Path, is_zip: bool) -> None:
    path, trace = tmp_path / "vgg.pth", tmp_path / "trace"
    torch.save(
        state(1) | {"conv1_2.weight": Malice(trace)},
        path,
        _use_new_zipfile_serialization=is_zip,
    )
    with pytest.raises(WeightsError, match="cannot be read as a state_dict") as error:
        load_weights(path)
    one_line(error, path)
    assert not trace.exists()


@pytest.mark.parametrize("value", [[1, 2], {"conv1_1.weight": "text"}, {0: torch.zeros(1)}, None])
def test_a_pickle_of_something_else(tmp_path: Path, value: object) -> None:
    path = tmp_path / "vgg.pth"
    torch.save(value, path)
    with pytest.raises(WeightsError, match="holds no state_dict of tensors") as error:
        load_weights(path)
    one_line(error, path)


@pytest.mark.parametrize("name", ["vgg.safetensors", "vgg.pth"])
@pytest.mark.parametrize("content", [b"", b"this is a text,\nno weights\n", bytes(4096)])
def test_files_of_another_kind(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(WeightsError) as error:
        load_weights(path)
    one_line(error, path)


@pytest.mark.parametrize("name", ["vgg.safetensors", "vgg.pth", "old.pth"])
def test_a_cut_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "vgg.safetensors":
        save_file(state(16), path)
    else:
        torch.save(state(16), path, _use_new_zipfile_serialization=name == "vgg.pth")
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(WeightsError) as error:
        load_weights(path)
    one_line(error, path)


@pytest.mark.parametrize("name", ["none.safetensors", "."])
def test_missing_file_says_how_to_name_one(tmp_path: Path, name: str) -> None:
    with pytest.raises(WeightsError, match=r"no such file; .* --vgg or \$NST_VGG19") as error:
        load_weights(tmp_path / name)
    one_line(error, tmp_path / name)


def test_metadata(tmp_path: Path) -> None:
    path = safetensors(
        tmp_path / "vgg.safetensors",
        state(1),
        mean="[0.5, 0.25, 0.125]",
        std="[1, 2, 4]",
        padding="reflect",
        pooling="avg",
        ceil_mode="true",
        channels="RGB",
        origin="whatever",
    )
    found = load_weights(path)
    assert found.mean == (0.5, 0.25, 0.125)
    assert found.std == (1.0, 2.0, 4.0)
    assert (found.padding, found.pooling, found.ceil_mode) == ("reflect", "avg", True)


@pytest.mark.parametrize(
    ("metadata", "pooling", "ceil_mode"),
    [
        ({"pooling": "max 2x2 stride 2, ceil_mode"}, "max", True),
        ({"pooling": "max, ceil_mode"}, "max", True),
        ({"pooling": "avg 2x2 stride 2"}, "avg", False),
        ({"pooling": "max"}, "max", False),
        ({"ceil_mode": "True"}, "max", True),
        ({"pooling": "max 2x2 stride 2, ceil_mode", "ceil_mode": "false"}, "max", False),
    ],
)
def test_pooling_in_words(
    tmp_path: Path, metadata: dict[str, str], pooling: str, ceil_mode: bool
) -> None:
    found = load_weights(safetensors(tmp_path / "vgg.safetensors", state(1), **metadata))
    assert (found.pooling, found.ceil_mode) == (pooling, ceil_mode)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mean", "[1, 2]"),
        ("mean", "0.5"),
        ("mean", "a word"),
        ("mean", "[NaN, 0, 0]"),
        ("mean", f"[0, 0, 1{400 * '0'}]"),
        ("mean", "[" * 100_000),
        ("std", '["a", "b", "c"]'),
        ("std", "[1, 0, 1]"),
        ("std", "[1, -1, 1]"),
        ("std", "[Infinity, 1, 1]"),
        ("padding", "circular"),
        ("pooling", "median"),
        ("pooling", ""),
        ("ceil_mode", "perhaps"),
        ("channels", "BGR"),
    ],
)
def test_metadata_that_cannot_be_followed_is_refused(tmp_path: Path, key: str, value: str) -> None:
    path = safetensors(tmp_path / "vgg.safetensors", state(1), **{key: value})
    with pytest.raises(WeightsError, match=f"metadata {key} is ") as error:
        load_weights(path)
    one_line(error, path)


# Where the weights come from.


@pytest.fixture(autouse=True)
def torch_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the tests away from the weights and the cache of whoever runs them."""
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch"


def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, prefix: str = "") -> Path:
    """Put a tiny file in the place of torchvision's, under a name with its hash or another."""
    path = tmp_path / "offered.pth"
    torch.save(state(2, torchvision=True), path)
    prefix = prefix or hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    path = path.rename(tmp_path / f"vgg19-{prefix}.pth")
    monkeypatch.setattr(nst.weights, "torchvision_url", path.as_uri)
    return path


def cached() -> list[str]:
    folder = torchvision_cache()
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_order_of_the_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offered = offer(tmp_path, monkeypatch)
    asked = safetensors(tmp_path / "asked.safetensors", state(1))
    named = safetensors(tmp_path / "named.safetensors", state(1))
    assert find_weights().source == str(torchvision_cache() / offered.name)
    monkeypatch.setenv(ENVIRONMENT, "")
    assert find_weights().source == str(torchvision_cache() / offered.name)
    monkeypatch.setenv(ENVIRONMENT, str(named))
    assert find_weights().source == str(named)
    assert find_weights(asked).source == str(asked)
    assert find_weights(str(asked)).source == str(asked)


def test_a_place_that_fails_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(tmp_path, monkeypatch)
    named = safetensors(tmp_path / "named.safetensors", state(1))
    monkeypatch.setenv(ENVIRONMENT, str(named))
    with pytest.raises(WeightsError, match="no such file"):
        find_weights(tmp_path / "asked.safetensors")
    named.write_bytes(b"damaged")
    with pytest.raises(WeightsError, match=r"named\.safetensors: damaged"):
        find_weights()
    assert cached() == []


def test_download_is_announced_once_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered = offer(tmp_path, monkeypatch)
    said: list[str] = []
    for _ in range(2):
        found = find_weights(announce=said.append)
        assert_same(found.tensors, state(2))
    target = torchvision_cache() / offered.name
    assert said == [f"VGG-19: downloading 548 MB from {offered.as_uri()} to {target}"]
    assert target.read_bytes() == offered.read_bytes()
    assert cached() == [offered.name]


class Bar:
    """Takes the place of a progress bar, and of what makes one."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, float | None]] = []
        self.steps: list[float] = []

    @contextmanager
    def __call__(self, label: str, total: float | None) -> Iterator[Bar]:
        self.shown.append((label, total))
        yield self

    def update(self, completed: float, note: str = "") -> None:
        self.steps.append(completed)


def test_download_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: in parts, up to its size, in MB of 2^20 bytes; nothing from the cache."""
    offered = offer(tmp_path, monkeypatch)
    monkeypatch.setattr(nst.download, "CHUNK_BYTES", 1000)
    bar = Bar()
    for _ in range(2):
        find_weights(bars=bar)
    size = offered.stat().st_size
    assert bar.shown == [("VGG-19, MB", size / 1000)]
    assert len(bar.steps) == -(-size // 1000)
    assert bar.steps == sorted(bar.steps)
    assert bar.steps[-1] == size / 1000


@pytest.mark.parametrize("place", ["the download", "the cache"])
def test_all_digits_of_the_hash_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """By hand: a file whose hash agrees in the eight digits of its name, and in no others."""
    offered = offer(tmp_path, monkeypatch)
    digits = hashlib.sha256(offered.read_bytes()).hexdigest()
    if place == "the cache":
        find_weights()
    monkeypatch.setattr(nst.weights, "TORCHVISION_SHA256", digits[:8] + "0" * 56)
    with pytest.raises(WeightsError, match=r"its hash is|damaged, its SHA-256"):
        find_weights()
    monkeypatch.setattr(nst.weights, "TORCHVISION_SHA256", digits)
    (torchvision_cache() / offered.name).unlink(missing_ok=True)
    assert find_weights().sha256 == digits


def test_download_of_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(tmp_path, monkeypatch, prefix="0badcafe")
    with pytest.raises(
        WeightsError, match=r"could not be downloaded from .*0badcafe.*hash"
    ) as error:
        find_weights()
    assert "--vgg or $NST_VGG19" in one_line(error, Path("vgg19-0badcafe.pth"))
    assert cached() == []


def test_a_damaged_cache_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offered = offer(tmp_path, monkeypatch)
    find_weights()
    target = torchvision_cache() / offered.name
    content = bytearray(target.read_bytes())
    content[len(content) // 2] ^= 1
    target.write_bytes(content)
    with pytest.raises(WeightsError, match="damaged, its SHA-256 does not start with") as error:
        find_weights()
    assert one_line(error, target).endswith("; delete it")


@pytest.fixture
def broken_server() -> Iterator[str]:
    """Serves half of what it announces, or answers 404."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if "missing" in self.path:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", "20000")
            self.end_headers()
            self.wfile.write(bytes(10000))

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("place", ["/cut/vgg19-00000000.pth", "/missing/vgg19-00000000.pth"])
def test_download_that_fails(
    broken_server: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nst.weights, "torchvision_url", lambda: broken_server + place)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(WeightsError, match="could not be downloaded") as error:
        find_weights()
    one_line(error, Path(place))
    assert cached() == []
    del error
    gc.collect()


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nst.weights, "torchvision_url", lambda: "file:///none/vgg19-00000000.pth")
    with pytest.raises(WeightsError, match=r"could not be downloaded .*No such file") as error:
        find_weights()
    one_line(error, Path("/none/vgg19-00000000.pth"))


def test_a_name_without_a_hash_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nst.weights, "torchvision_url", lambda: "file:///none/vgg19.pth")
    with pytest.raises(WeightsError, match="carries no hash"):
        find_weights()


def test_torchvisions_address_carries_a_hash() -> None:
    """The download is checked by it; torchvision has called the file so since 2017."""
    url = torchvision_url()
    assert url.startswith("https://download.pytorch.org/models/")
    assert url.endswith("/vgg19-dcbb9e9d.pth")
    assert TORCHVISION_SHA256.startswith("dcbb9e9d")
    assert re.fullmatch("[0-9a-f]{64}", TORCHVISION_SHA256)


# The hash of tensors.


def test_hash_of_tensors_by_hand() -> None:
    """SHA-256 of the documented bytes, put together here."""
    tensors = {"b": torch.tensor([1.0, 2.0]), "a": torch.tensor(3, dtype=torch.uint8)}
    expected = hashlib.sha256()
    expected.update(b"a torch.uint8 ()\n" + bytes([3]))
    expected.update(b"b torch.float32 (2,)\n" + bytes.fromhex("0000803f00000040"))
    assert hash_of_tensors(tensors) == expected.hexdigest()


def test_hash_of_tensors_knows_content_and_not_layout() -> None:
    image = torch.rand(2, 3, 4, 5)
    same = hash_of_tensors({"x": image})
    assert hash_of_tensors({"x": image.to(memory_format=torch.channels_last)}) == same
    others = (image + 1, image.reshape(2, 3, 5, 4), image.double(), image.view(torch.int32))
    hashes = {hash_of_tensors({"x": other}) for other in others}
    hashes |= {hash_of_tensors({"y": image}), hash_of_tensors({}), same}
    assert len(hashes) == 7
    assert hash_of_tensors({"x": torch.zeros(0, 3, dtype=torch.bfloat16)})
