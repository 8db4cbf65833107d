"""The server of the studio when all is well. Truths: by hand, and ``Stylizer`` on the picture."""

from __future__ import annotations

import json
import re
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from PIL import Image
from websockets.sync.client import ClientConnection, connect

from infer import shelf
from infer.shelf import open_shelf, registry_name
from infer.stylizer import Stylizer
from infer.wish import wish_of
from nst.errors import UsageError
from nst.image import encode_image, load_image
from nst.model_entry import NAME

pytest.importorskip("fastapi", reason="the extra serve is not installed")

Array = NDArray[np.uint8]
Serving = Callable[..., AbstractContextManager[int]]


@pytest.fixture(scope="module")
def port(invert_model: Path, mix_model: Path, serving: Serving) -> Iterator[int]:
    with serving(invert_model, mix_model, size=256) as port:
        yield port


@pytest.fixture(scope="module")
def two_styles(mix_model: Path) -> Any:
    return open_shelf([mix_model], "cpu")


def get(port: int, path: str, body: bytes | None = None) -> tuple[dict[str, str], bytes]:
    """Ask for something, or send a picture; return headers and content of a good answer."""
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        headers = {"Content-Type": "image/png", "Origin": f"http://127.0.0.1:{port}"}
        connection.request("GET" if body is None else "POST", path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status == 200, content
        return {name.lower(): value for name, value in answer.getheaders()}, content
    finally:
        connection.close()


def paint(port: int, photo: Array, **query: object) -> Array:
    _, content = get(port, f"/paint?{urlencode(query)}", encode_image(photo))
    return load_image(content).rgb


def test_a_picture_is_painted(port: int, photo: Array) -> None:
    assert np.array_equal(paint(port, photo, model="invert"), 255 - photo)


@pytest.mark.parametrize(
    "asked",
    [
        {"style": "wave"},
        {"style": "wave:0.7,scream:0.3"},
        {"style": "scream", "strength": 0.5},
        {"style": "wave", "strength": 0.0},
        {"style": "wave", "texture": 0.25},
        {"style": "wave", "original_colors": True},
        {"style": "wave", "size": 40},
    ],
    ids=str,
)
def test_controls_are_those_of_stylize(
    port: int, mix_model: Path, photo: Array, asked: dict[str, Any]
) -> None:
    expected = Stylizer(mix_model, provider="cpu", **({"size": 256} | asked))(photo).rgb
    painted = paint(port, photo, model="two-styles", **asked)
    assert painted.shape == expected.shape
    assert np.array_equal(painted, expected)


def test_strength_of_a_model_without_controls_blends(port: int, photo: Array) -> None:
    painted = paint(port, photo, model="invert", strength=0.25)
    expected = 0.25 * (255.0 - photo) + 0.75 * photo
    assert np.abs(painted - expected).max() <= 0.5001


@pytest.mark.parametrize(("format", "kind"), [("jpeg", "JPEG"), ("png", "PNG"), ("webp", "WEBP")])
def test_formats(port: int, photo: Array, format: str, kind: str) -> None:
    headers, content = get(port, f"/paint?model=invert&format={format}", encode_image(photo))
    assert headers["content-type"] == f"image/{format}"
    assert Image.open(BytesIO(content)).format == kind


def test_a_photograph_stands_upright_and_loses_its_position(port: int) -> None:
    picture = Image.fromarray(np.zeros((10, 30, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    exif.get_ifd(0x8825)[1] = "N"  # GPS
    exif[0x010F] = "a camera"
    buffer = BytesIO()
    picture.save(buffer, "JPEG", exif=exif)
    _, content = get(port, "/paint?model=invert&format=jpeg", buffer.getvalue())
    painted = Image.open(BytesIO(content))
    assert painted.size == (10, 30)
    assert not painted.getexif()
    assert b"a camera" not in content


def test_what_the_page_is_told(port: int, invert_model: Path) -> None:
    _, content = get(port, "/models.json")
    told = json.loads(content)
    assert told["server"]["provider"] == "CPU"
    assert told["runtime"] is None
    assert [(m["name"], m["controls"], m["has_texture"]) for m in told["models"]] == [
        ("invert", "none", False),
        ("two-styles", "regional", True),
    ]
    assert [style["name"] for style in told["models"][1]["styles"]] == ["wave", "scream"]
    for model in told["models"]:
        headers, content = get(port, f"/{model['file']}")
        assert len(content) == model["bytes"]
        for style in model["styles"]:
            headers, content = get(port, f"/{style['thumbnail']}")
            assert headers["content-type"] == "image/jpeg"
            assert load_image(content).rgb.shape == (144, 144, 3)
    assert get(port, "/models/invert.onnx")[1] == invert_model.read_bytes()


def test_the_page_loads_nothing_from_elsewhere(port: int) -> None:
    """Every file that a file of the page names is there, and none names another host."""
    seen, waiting = set(), {"/"}
    while waiting:
        path = waiting.pop()
        seen.add(path)
        headers, content = get(port, path)
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-embedder-policy"] == "require-corp"
        policy, _, rest = headers["content-security-policy"].partition("; frame-ancestors ")
        assert rest == "'none'"
        text = content.decode()
        if path == "/":  # a worker obeys the policy of its own file, so that all have the page's
            assert f'"Content-Security-Policy" content="{policy}"' in text
        hosts = set(re.findall(r"https?://([^/\"'` )]+)", text))
        assert hosts <= {"localhost:8000", "www.w3.org"}, path
        names = re.findall(r"(?:src|href|from)[= ]\"(?:\./)?([\w.-]+\.\w+)\"", text)
        names += re.findall(r"new URL\(\"([\w.-]+\.js)\"", text)
        waiting |= {f"/{name}" for name in names} - seen
    assert {"/studio.js", "/studio.css", "/browser.js", "/regions.js", "/icon.svg"} <= seen


def answer(live: ClientConnection) -> tuple[int, int, int, Array]:
    """Receive a painting: number, microseconds, left out, picture."""
    data = live.recv(timeout=20)
    assert isinstance(data, bytes), data
    return *struct.unpack_from("<III", data), load_image(data[12:]).rgb


def test_frames_are_painted_as_the_last_controls_say(
    port: int, photo: Array, two_styles: Any
) -> None:
    """A regional mix: the left half a wave, the right half the photograph."""
    values = [0.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    wish = {
        "model": "two-styles",
        "format": "png",
        "mix": {"height": 1, "width": 2, "values": values},
    }
    with connect(f"ws://127.0.0.1:{port}/live") as live:
        live.send(json.dumps({"model": "invert", "format": "png"}))
        live.send(struct.pack("<I", 7) + encode_image(photo))
        number, micros, left, painted = answer(live)
        assert (number, left) == (7, 0)
        assert micros > 0
        assert np.array_equal(painted, 255 - photo)
        live.send(json.dumps(wish))
        live.send(struct.pack("<I", 8) + encode_image(photo))
        number, _, _, painted = answer(live)
    assert number == 8
    mix = np.array(values, np.float32).reshape(1, 3, 1, 2)
    expected = two_styles.first.session.run(photo[None], mix=mix)[0]
    assert np.array_equal(painted, expected)
    assert np.abs(painted[:, -4:].astype(int) - photo[:, -4:]).max() <= 1
    assert np.abs(painted[:, :4].astype(int) - photo[:, :4]).mean() > 10


def test_the_newest_frame_wins(
    invert_model: Path, photo: Array, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the first is painted four more come: the last is painted next, three are left out."""
    is_open, has_entered, run = threading.Event(), threading.Event(), shelf.Model.paint

    def slow(model: shelf.Model, rgb: Array, **options: Any) -> Array:
        has_entered.set()
        assert is_open.wait(20)
        return run(model, rgb, **options)

    frame = encode_image(photo)
    with serving(invert_model) as port, connect(f"ws://127.0.0.1:{port}/live") as live:
        monkeypatch.setattr(shelf.Model, "paint", slow)
        live.send(json.dumps({"format": "png"}))
        live.send(struct.pack("<I", 1) + frame)
        assert has_entered.wait(20)
        for number in range(2, 6):
            live.send(struct.pack("<I", number) + frame)
        live.send(b"x")  # no frame: its answer says that all before it have come
        assert json.loads(live.recv(timeout=20))["status"] == 422
        is_open.set()
        answers = [answer(live)[:3], answer(live)[:3]]
    assert [(number, left) for number, _, left in answers] == [(1, 3), (5, 3)]


def test_controls_that_are_refused_are_not_replaced_by_older_ones(
    invert_model: Path, photo: Array, serving: Serving
) -> None:
    """Every frame gets their error, until there are others."""
    frame = encode_image(photo)
    with serving(invert_model) as port, connect(f"ws://127.0.0.1:{port}/live") as live:
        live.send(json.dumps({"format": "png"}))
        live.send('{"colour": 1}')
        words = json.loads(live.recv(timeout=20))["error"]
        for number in (1, 2):
            live.send(struct.pack("<I", number) + frame)
            refused = json.loads(live.recv(timeout=20))
            assert refused == {"status": 422, "error": words, "frame": number}
        live.send(json.dumps({"format": "png"}))
        live.send(struct.pack("<I", 3) + frame)
        number, _, left_out, painted = answer(live)
    assert (number, left_out) == (3, 0)
    np.testing.assert_array_equal(painted, 255 - photo)


def test_a_mix_is_normalised_and_lightened(two_styles: Any) -> None:
    """By hand: a cell of zeros is the photograph; strength takes its part of every cell."""
    values = [0, 0, 3, 0, 1, 0]
    wish = wish_of(
        {"mix": {"height": 1, "width": 2, "values": values}, "strength": 0.5}, two_styles, size=64
    )
    assert wish.mix is not None
    assert wish.mix.tolist() == [[[[0.5, 1.0]], [[0.375, 0.0]], [[0.125, 0.0]]]]


@pytest.mark.parametrize(
    ("mix", "words"),
    [
        ([1, 2, 3], "must be an object"),
        ({"height": 1, "width": 1}, "must be an object"),
        ({"height": 1, "width": 1, "values": [0, 1]}, "3 planes of 1 x 1"),
        ({"height": 65, "width": 1, "values": [0] * 195}, "from 1 to 64"),
        ({"height": True, "width": 1, "values": [0, 1, 0]}, "whole number"),
        ({"height": 1, "width": 1, "values": [0, -1, 0]}, "numbers from 0"),
        ({"height": 1, "width": 1, "values": [0, float("nan"), 0]}, "numbers from 0"),
        ({"height": 1, "width": 1, "values": [0, float("inf"), 0]}, "numbers from 0"),
        ({"height": 1, "width": 1, "values": [0, "1", 0]}, "numbers from 0"),
        ({"height": 1, "width": 1, "values": [0, 10**400, 0]}, "numbers from 0"),
        ({"height": 1, "width": 1, "values": [[0], [1], [0]]}, "numbers from 0"),
    ],
    ids=str,
)
def test_a_mix_of_another_kind_is_refused(two_styles: Any, mix: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        wish_of({"mix": mix}, two_styles, size=64)


def test_one_of_several_styles_has_to_be_chosen(two_styles: Any) -> None:
    with pytest.raises(UsageError, match="2 styles, choose with style: wave, scream"):
        wish_of({}, two_styles, size=64)
    with pytest.raises(UsageError, match="exclude each other"):
        wish_of({"style": "wave", "mix": {}}, two_styles, size=64)


def test_a_model_that_takes_one_mix_takes_no_grid(mix_model: Path, tmp_path: Path) -> None:
    model = onnx.load(mix_model)
    for entry in model.metadata_props:
        if entry.key == "nst.controls":
            entry.value = '"global"'
    dimensions = next(v for v in model.graph.input if v.name == "mix").type.tensor_type.shape.dim
    dimensions[2].dim_value = dimensions[3].dim_value = 1
    onnx.save(model, tmp_path / "global.onnx")
    models = open_shelf([tmp_path / "global.onnx"], "cpu")
    one = {"height": 1, "width": 1, "values": [0, 1, 0]}
    assert wish_of({"mix": one}, models, size=64).mix is not None
    with pytest.raises(UsageError, match="width must be a whole number from 1 to 1"):
        wish_of({"mix": {"height": 1, "width": 2, "values": [0] * 6}}, models, size=64)


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("starry-night", "starry-night"),
        ("Große Welle (1)", "grosse-welle-1"),
        ("../../etc/passwd", "etc-passwd"),
        ("北斎", "model"),
        ("", "model"),
        ("x" * 300, "x" * 60),
        ("taken", "taken-2"),
    ],
)
def test_names_in_addresses(stem: str, name: str) -> None:
    found = registry_name(stem, taken={"taken"})
    assert found == name
    assert NAME.fullmatch(found)
