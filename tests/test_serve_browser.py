"""The studio's page in a real Chromium with a made-up camera. Truths: by hand, and the server.

Skipped where there is no Chromium; what paints in the browser also where onnxruntime-web is neither
in the user's cache (``nst serve MODEL --in-browser`` puts it there) nor in ``$NST_ORT_WEB``, a file
as ``npm pack`` writes it. ``$NST_STYLE_MODEL`` names a trained model to compare as well.
"""

from __future__ import annotations

import base64
import functools
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from websockets.sync.client import connect

from infer import shelf, web_runtime
from nst.cache_folder import cache_folder
from nst.errors import InferenceError
from nst.image import encode_image, load_image, resize_image
from nst.samples import photographs

pytest.importorskip("fastapi", reason="the extra serve is not installed")

Array = NDArray[np.uint8]
Serving = Callable[..., AbstractContextManager[int]]

CACHE = cache_folder()  # that of the user: the tests' own is set later, and empty
PROGRAM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
FLAGS = (
    *("--headless", "--no-sandbox", "--no-first-run", "--mute-audio", "--disable-extensions"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
    *("--remote-debugging-port=0", "--window-size=1360,860"),
)
SOFTWARE_GPU = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")
WAIT_S = 60


class Chromium:
    """A browser that is driven over the DevTools protocol."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.folder = folder
        self.downloads = folder / "downloads"
        self._process = subprocess.Popen(
            [PROGRAM, *FLAGS, *flags, f"--user-data-dir={folder}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        port = folder / "DevToolsActivePort"
        self._until(lambda: port.exists() and "\n" in port.read_text(), "start")
        with urlopen(f"http://127.0.0.1:{port.read_text().split()[0]}/json") as answer:
            pages = [target for target in json.load(answer) if target["type"] == "page"]
        self._connection = connect(pages[0]["webSocketDebuggerUrl"], max_size=None)
        self._socket = self._connection.__enter__()
        self._number = 0
        self.complaints: list[str] = []
        for domain in ("Runtime", "Page", "Log"):
            self.call(f"{domain}.enable")
        behaviour = {"behavior": "allow", "downloadPath": str(self.downloads)}
        self.call("Browser.setDownloadBehavior", **behaviour)

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv(timeout=WAIT_S))
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return dict(answer["result"])
            if answer["method"] == "Runtime.exceptionThrown":
                self.complaints.append(str(answer["params"]["exceptionDetails"]))
            elif answer["method"] == "Log.entryAdded":
                self.complaints.append(answer["params"]["entry"]["text"])

    def run(self, script: str) -> Any:
        """Return what some JavaScript comes to; a promise is waited for."""
        options = {"awaitPromise": True, "returnByValue": True}
        answer = self.call("Runtime.evaluate", expression=script, **options)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, script: str) -> None:
        """Wait until some JavaScript is true."""
        self._until(lambda: bool(self.run(script)), script)

    def open(self, port: int, query: str = "") -> None:
        """Open the studio."""
        self.complaints.clear()
        self.call("Page.navigate", url=f"http://127.0.0.1:{port}/{query}")
        self.wait("document.getElementById('studio')?.getAttribute('aria-busy') === 'false'")

    def text(self, name: str) -> str:
        return str(self.run(f"document.getElementById('{name}').textContent"))

    def click(self, selector: str) -> None:
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def set(self, name: str, value: int) -> None:
        """Move a slider."""
        script = f"const e = document.getElementById('{name}'); e.value = {value};"
        self.run(f"{{ {script} e.dispatchEvent(new Event('input')); }}")

    @property
    def painted(self) -> int:
        """How many paintings were shown."""
        return int(self.run("Number(document.getElementById('studio').dataset.painted ?? 0)"))

    def wait_for_paintings(self, count: int = 1) -> None:
        """Wait until some more paintings were shown."""
        wanted = self.painted + count
        self._until(lambda: self.painted >= wanted, f"painting {wanted}; {self.text('trouble')}")

    def settle(self) -> None:
        """Wait until a still picture is painted as it was asked for last."""
        self.wait("document.getElementById('studio').getAttribute('aria-busy') === 'false'")

    def drop(self, photo: Array, *, is_painted: bool = True) -> None:
        """Drop a picture on the page and wait for its painting."""
        before = self.painted
        self.run(
            f"""{{
            const bytes = Uint8Array.from(atob("{_base64(photo)}"), (c) => c.charCodeAt(0));
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([bytes], "photo.png", {{ type: "image/png" }}));
            document.dispatchEvent(new DragEvent("drop", {{ dataTransfer, cancelable: true }}));
            }}"""
        )
        if is_painted:
            self._until(lambda: self.painted > before, "the dropped picture")
            self.settle()

    def seen(self) -> Array:
        """Return what the stage shows, RGB."""
        url = self.run("document.getElementById('view').toDataURL('image/png')")
        return load_image(base64.b64decode(url.partition(",")[2])).rgb

    def mouse(self, *places: tuple[float, float]) -> None:
        """Press at the first place of the picture, in [0, 1], draw to the others, let go."""
        box = self.run(
            """(() => { const e = document.getElementById("view"), b = e.getBoundingClientRect();
            const s = Math.min(b.width / e.width, b.height / e.height);
            return [b.left + (b.width - e.width * s) / 2, b.top + (b.height - e.height * s) / 2,
                    e.width * s, e.height * s]; })()"""
        )
        kinds = ["mousePressed", *["mouseMoved"] * (len(places) - 1), "mouseReleased"]
        for kind, (x, y) in zip(kinds, [*places, places[-1]], strict=True):
            where = {"x": box[0] + x * box[2], "y": box[1] + y * box[3]}
            options = {"button": "left", "buttons": 1, "clickCount": 1}
            self.call("Input.dispatchMouseEvent", type=kind, **where, **options)

    def key(self, key: str, repeats: int = 0) -> None:
        for number in range(1 + repeats):
            self.call("Input.dispatchKeyEvent", type="keyDown", key=key, autoRepeat=number > 0)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def engines_paint(self, kind: str, photo: Array, controls: dict[str, Any]) -> Array:
        """Let an engine of the page paint a picture; ``controls`` as the page makes them."""
        script = f"""(async () => {{
            const engines = await import(new URL("engines.js", location.href));
            const known = await (await fetch("models.json")).json();
            const bytes = Uint8Array.from(atob("{_base64(photo)}"), (c) => c.charCodeAt(0));
            const bitmap = await createImageBitmap(new Blob([bytes]));
            const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
            canvas.getContext("2d").drawImage(bitmap, 0, 0);
            const engine = "{kind}" === "server"
                ? new engines.ServerEngine(known, () => {{}})
                : new engines.BrowserEngine(known, "{kind}");
            const {{ picture }} = await engine.paint(canvas, {json.dumps(controls)}, true);
            engine.close();
            const {{ width, height }} = picture;
            const shown = Object.assign(document.createElement("canvas"), {{ width, height }});
            shown.getContext("2d").drawImage(picture, 0, 0);
            return shown.toDataURL("image/png");
        }})()"""
        return load_image(base64.b64decode(self.run(script).partition(",")[2])).rgb

    def close(self) -> None:
        with suppress(Exception):
            self.call("Browser.close")
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(20)
        self._process.kill()
        self._process.wait()
        self._connection.__exit__(None, None, None)

    def _until(self, holds: Callable[[], bool], what: str) -> None:
        end_at = time.monotonic() + WAIT_S
        while not holds():
            assert time.monotonic() < end_at, f"waited {WAIT_S} s for: {what}"
            time.sleep(0.05)


def _base64(photo: Array) -> str:
    return base64.b64encode(encode_image(photo)).decode()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    if not PROGRAM:
        pytest.skip("there is no Chromium here")
    browser = Chromium(tmp_path_factory.mktemp("chromium"), "--disable-gpu")
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def runtime() -> Path:
    with pytest.MonkeyPatch.context() as patch:
        if package := os.environ.get("NST_ORT_WEB"):
            return web_runtime.get_runtime(Path(package))
        patch.setenv("NST_CACHE", str(CACHE))
        folder = web_runtime.cached_runtime()
    if folder is None:
        pytest.skip("onnxruntime-web is not in the cache: nst serve MODEL --in-browser fetches it")
    return folder


@pytest.fixture(scope="module")
def port(invert_model: Path, mix_model: Path, serving: Serving) -> Iterator[int]:
    """The server alone paints."""
    with serving(invert_model, mix_model) as port:
        yield port


@pytest.fixture(scope="module")
def port_both(
    invert_model: Path, mix_model: Path, runtime: Path, serving: Serving
) -> Iterator[int]:
    """The server paints, and the browser can."""
    with serving(invert_model, mix_model, runtime=runtime) as port:
        yield port


@pytest.fixture(params=["server", "wasm"])
def place(request: pytest.FixtureRequest) -> tuple[str, int]:
    """Where it is painted, and the port of the page."""
    kind = str(request.param)
    return kind, request.getfixturevalue("port" if kind == "server" else "port_both")


def test_the_camera_is_painted(chromium: Chromium, place: tuple[str, int]) -> None:
    """Frames come and move; the painting is the negative of the photograph, JPEG apart."""
    kind, port = place
    chromium.open(port, f"?engine={kind}")
    assert chromium.text("trouble") == ""
    chromium.set("size", 160)
    chromium.click("#begin-camera")
    chromium.wait_for_paintings(3)
    first = chromium.seen()
    chromium.wait_for_paintings(3)
    painted = chromium.seen()
    assert painted.shape[1] == 160
    assert not np.array_equal(first, painted)
    chromium.key("c")  # the last frame stays
    painted = chromium.seen().astype(int)
    chromium.set("divider", 100)
    photograph = chromium.seen()[:, :-2]  # the divider itself is on the last columns
    assert np.abs(255 - photograph - painted[:, :-2]).mean() < (12 if kind == "server" else 1)
    status = chromium.text("status")
    assert "fps" in status
    assert "ms from frame to screen" in status
    engine = "Server, CPU" if kind == "server" else "This browser, WebAssembly"
    assert engine in status
    if kind == "wasm":
        assert "thread" in status
    assert chromium.run("document.getElementById('camera').getAttribute('aria-pressed')") == "false"


def test_a_dropped_picture_is_painted(
    chromium: Chromium, place: tuple[str, int], photo: Array
) -> None:
    kind, port = place
    chromium.open(port, f"?engine={kind}")
    chromium.drop(photo)
    assert np.array_equal(chromium.seen(), 255 - photo)
    chromium.set("strength", 25)
    chromium.settle()
    expected = 0.25 * (255.0 - photo) + 0.75 * photo
    assert np.abs(chromium.seen() - expected).max() <= 0.5001
    chromium.set("strength", 100)
    chromium.settle()
    chromium.mouse((0.1, 0.5), (0.5, 0.5))  # draws the divider to the middle
    seen = chromium.seen()
    assert np.array_equal(seen[:, :26], photo[:, :26])  # the handle is 5 px wide on either side
    assert np.array_equal(seen[:, 40:], 255 - photo[:, 40:])
    assert chromium.complaints in ([], ["No available adapters."])


def test_a_region_is_brushed(chromium: Chromium, place: tuple[str, int]) -> None:
    """A stroke of the photograph over a style: there it stays, far from it nothing changes much."""
    kind, port = place
    photo = np.random.default_rng(1).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    chromium.open(port, f"?engine={kind}")
    chromium.click("[title=scream]")
    chromium.drop(photo)
    before = chromium.seen()
    assert np.abs(before.astype(int) - photo).mean() > 20
    chromium.key("b")
    chromium.run("document.getElementById('brush-style').value = 0")
    chromium.set("brush-width", 12)
    chromium.mouse((0.3, 0.5), (0.4, 0.5))
    chromium.settle()
    chromium.key("b")
    seen = chromium.seen().astype(int)
    assert np.abs(seen[40:50, 36:46] - photo[40:50, 36:46]).max() <= 1
    assert np.abs(seen[:, 90:] - before[:, 90:]).max() <= 1
    chromium.click("#clear")
    chromium.settle()
    assert np.array_equal(chromium.seen(), before)


def test_two_styles_are_fused(chromium: Chromium, port: int, photo: Array) -> None:
    chromium.open(port)
    chromium.drop(photo)
    assert chromium.run("document.getElementById('fusion').hidden")
    chromium.click("[title=wave]")
    chromium.settle()
    wave = chromium.seen()
    chromium.click("[title='mix with scream']")
    chromium.settle()
    assert "wave + scream" in chromium.text("fusion-name")
    half = chromium.seen()
    chromium.set("share", 100)
    chromium.settle()
    scream = chromium.seen()
    for one, other in ((wave, half), (half, scream), (wave, scream)):
        assert np.abs(one.astype(int) - other).mean() > 5


CONTROLS: tuple[dict[str, Any], ...] = (
    {"model": "invert", "strength": 1, "original_colors": False, "texture": 1},
    {"model": "invert", "strength": 0.6, "original_colors": True, "texture": 1},
    {
        **{"model": "two-styles", "strength": 0.7, "original_colors": False, "texture": 0.5},
        "mix": {"height": 2, "width": 2, "values": [0, 0, 1, 0, 1, 3, 0, 0, 0, 1, 0, 0]},
    },
    {
        **{"model": "two-styles", "strength": 1, "original_colors": True, "texture": 2},
        "mix": {"height": 1, "width": 1, "values": [0, 0.25, 0.75]},
    },
)


@pytest.mark.parametrize("controls", CONTROLS, ids=lambda c: f"{c['model']}-{c['texture']}")
def test_the_browser_paints_what_the_server_paints(
    chromium: Chromium, port_both: int, photo: Array, controls: dict[str, Any]
) -> None:
    chromium.open(port_both)
    server = chromium.engines_paint("server", photo, controls)
    browser = chromium.engines_paint("wasm", photo, controls)
    assert np.abs(server.astype(int) - browser).max() <= 1
    assert np.abs(server.astype(int) - photo).mean() > 5


def test_a_trained_model_is_painted_alike(
    chromium: Chromium, runtime: Path, serving: Serving
) -> None:
    """A photograph of odd sizes; real networks have more operators than those made by hand."""
    if not (path := os.environ.get("NST_STYLE_MODEL")):
        pytest.skip("no trained model to compare: $NST_STYLE_MODEL names one")
    photograph = resize_image(load_image(photographs()[0]).rgb, 131, 97)
    with serving(Path(path), runtime=runtime) as port:
        chromium.open(port)
        with urlopen(f"http://127.0.0.1:{port}/models.json") as answer:
            (model,) = json.load(answer)["models"]
        controls = {"model": model["name"], "strength": 1, "original_colors": False, "texture": 1}
        if model["has_texture"]:
            controls["texture"] = 0.4
        if model["controls"] != "none":
            values = np.random.default_rng(2).random(1 + len(model["styles"])).tolist()
            controls["mix"] = {"height": 1, "width": 1, "values": values}
        server = chromium.engines_paint("server", photograph, controls)
        browser = chromium.engines_paint("wasm", photograph, controls)
    assert np.abs(server.astype(int) - browser).max() <= 1
    assert np.abs(server.astype(int) - photograph).mean() > 5


def test_webgpu_paints_the_same_on_an_adapter_of_software(
    tmp_path: Path, port_both: int, photo: Array
) -> None:
    """No GPU is needed and none is judged: the graph, its inputs and its result are."""
    if not PROGRAM:
        pytest.skip("there is no Chromium here")
    chromium = Chromium(tmp_path, *SOFTWARE_GPU)
    try:
        chromium.open(port_both)
        if chromium.run("document.querySelector('[value=webgpu]').disabled"):
            pytest.skip("this Chromium offers no WebGPU, in software neither")
        for controls in CONTROLS[1:3]:
            server = chromium.engines_paint("server", photo, controls)
            browser = chromium.engines_paint("webgpu", photo, controls)
            assert np.abs(server.astype(int) - browser).max() <= 1
    finally:
        chromium.close()


def test_snapshot_and_recording(chromium: Chromium, port: int, photo: Array) -> None:
    chromium.open(port)
    chromium.drop(photo)
    chromium.key("s")
    wanted = chromium.downloads

    def saved(ending: str) -> list[Path]:
        return [path for path in wanted.glob(f"negative-*.{ending}") if path.stat().st_size]

    chromium._until(lambda: bool(saved("png")), "the snapshot")
    assert np.array_equal(np.array(Image.open(saved("png")[0]).convert("RGB")), 255 - photo)
    chromium.set("size", 160)
    chromium.key("c")
    chromium.wait_for_paintings(2)
    chromium.key("r")
    chromium.wait_for_paintings(8)
    chromium.key("r")
    chromium._until(lambda: bool(saved("webm")), "the recording")
    data = saved("webm")[0].read_bytes()
    assert data.startswith(b"\x1aE\xdf\xa3")
    av = pytest.importorskip("av", reason="the extra video is not installed")
    with av.open(BytesIO(data)) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(frames) >= 2
    assert frames[0].shape == (90, 160, 3)
    chromium.key("c")


def test_everything_can_be_done_with_keys(chromium: Chromium, port: int, photo: Array) -> None:
    """Numbers choose styles; on the picture arrows move the divider or the brush, space paints."""
    chromium.open(port)
    chromium.drop(photo)
    chromium.key("2")
    chromium.settle()
    assert chromium.run("document.querySelector('[title=wave]').getAttribute('aria-pressed')")
    before = chromium.seen()
    chromium.run("document.getElementById('view').focus()")
    chromium.key("ArrowRight")
    assert chromium.run("document.getElementById('divider').value") == "2"
    chromium.key("ArrowLeft")
    chromium.key("b")
    chromium.run("document.getElementById('brush-style').value = 0")
    chromium.set("brush-width", 12)
    chromium.key(" ")
    chromium.settle()
    chromium.key("b")
    assert chromium.run("document.getElementById('mirror').checked")
    chromium.key("m", repeats=2)  # held down: pressed once
    assert not chromium.run("document.getElementById('mirror').checked")
    seen = chromium.seen().astype(int)
    assert np.abs(seen[23:25, 31:33] - photo[23:25, 31:33]).max() <= 1
    assert np.abs(seen[:2, :2] - before[:2, :2]).max() <= 1


def test_a_lost_server_is_said_and_found_again(
    chromium: Chromium, invert_model: Path, photo: Array, serving: Serving
) -> None:
    with serving(invert_model) as port:
        chromium.open(port)
        chromium.drop(photo)
    chromium.wait("!document.getElementById('trouble').hidden")
    assert "no connection to the server" in chromium.text("trouble")
    chromium.set("strength", 0)
    with serving(invert_model, port=port):
        chromium.settle()
        assert np.array_equal(chromium.seen(), photo)
        assert chromium.text("trouble") == ""
        assert chromium.text("engine-name") == "Server, CPU"  # no other one took its place


def test_a_picture_that_is_overtaken_while_it_is_encoded_is_left_out(
    chromium: Chromium, port: int, photo: Array
) -> None:
    """Also where the engine is closed meanwhile: its promise ends, and the page goes on."""
    chromium.open(port)
    script = f"""(async () => {{
        const {{ ServerEngine }} = await import(new URL("engines.js", location.href));
        const known = await (await fetch("models.json")).json();
        const bytes = Uint8Array.from(atob("{_base64(photo)}"), (c) => c.charCodeAt(0));
        const bitmap = await createImageBitmap(new Blob([bytes]));
        const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
        canvas.getContext("2d").drawImage(bitmap, 0, 0);
        const encoded = (options) => canvas.convertToBlob(options);
        const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
        const slow = {{ convertToBlob: (options) => later(300).then(() => encoded(options)) }};
        const controls = {{ model: known.models[0].name }};
        const engine = new ServerEngine(known, () => {{}});
        const ends = (promise) => promise.then(() => "painted", (error) => error);
        const first = ends(engine.paint(slow, controls, true));
        const second = await ends(engine.paint(canvas, controls, true));
        const overtaken = await first;
        const third = ends(engine.paint(slow, controls, true));
        engine.close();
        return [second, overtaken, await Promise.race([third, later(5000).then(() => "never")])];
    }})()"""
    assert chromium.run(script) == ["painted", None, None]


def test_the_page_works_with_a_token(
    chromium: Chromium, invert_model: Path, photo: Array, serving: Serving
) -> None:
    """It is in the first address and then in a cookie, for the page, the files and the frames."""
    with serving(invert_model, token="0123456789abcdef") as port:
        chromium.open(port, "?token=0123456789abcdef")
        assert chromium.run("location.search") == ""
        chromium.drop(photo)
        assert np.array_equal(chromium.seen(), 255 - photo)


def test_a_picture_that_is_refused_is_not_sent_again(
    chromium: Chromium,
    invert_model: Path,
    photo: Array,
    serving: Serving,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[str] = []

    def fail(*_: Any, **options: Any) -> None:
        calls.append("one")
        raise InferenceError("not enough memory")

    monkeypatch.setattr(shelf.Model, "paint", fail)
    with serving(invert_model) as port:
        chromium.open(port)
        chromium.drop(photo, is_painted=False)
        chromium.wait("document.getElementById('trouble').textContent === 'not enough memory'")
        chromium.run("new Promise((resolve) => setTimeout(resolve, 500))")
        assert calls == ["one"]
        monkeypatch.undo()
        chromium.set("strength", 0)
        chromium.settle()
        assert chromium.text("trouble") == ""


def test_what_cannot_be_had_is_said(chromium: Chromium, port: int) -> None:
    chromium.open(port, "?engine=wasm")
    assert "wasm cannot be had here: needs onnxruntime-web" in chromium.text("trouble")
    notes = chromium.run("[...document.querySelectorAll('small')].map((e) => e.textContent)")
    assert notes[0] == "CPU"
    assert "--in-browser" in notes[1]
    assert "--in-browser" in notes[2]
    chromium.run(
        """{ const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File(["text"], "a.txt"));
        document.dispatchEvent(new DragEvent("drop", { cancelable: true, dataTransfer })); }"""
    )
    chromium.wait("document.getElementById('trouble').textContent.includes('a.txt is no picture')")


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_folder_needs_no_program_behind_it(
    chromium: Chromium,
    invert_model: Path,
    mix_model: Path,
    runtime: Path,
    photo: Array,
    tmp_path: Path,
    exit_code: Callable[..., int | str | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Any web server will do: that of Python gives away what ``--write`` wrote."""
    monkeypatch.setenv("NST_CACHE", str(runtime.parent))
    folder = tmp_path / "studio"
    assert exit_code("serve", invert_model, mix_model, "--write", folder) == 0
    handler = functools.partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            chromium.open(server.server_address[1])
            notes = chromium.run(
                "[...document.querySelectorAll('small')].map((e) => e.textContent)"
            )
            assert notes[0] == "there is none behind this page"
            assert "one thread" in notes[2]
            chromium.drop(photo)
            assert np.array_equal(chromium.seen(), 255 - photo)
            assert "This browser, WebAssembly, 1 thread" in chromium.text("status")
            chromium.set("size", 160)
            chromium.click("#camera")
            chromium.wait_for_paintings(3)
            assert "fps" in chromium.text("status")
            chromium.click("#camera")
        finally:
            server.shutdown()
            thread.join()


def test_a_page_opened_as_a_file_says_what_to_do(chromium: Chromium, tmp_path: Path) -> None:
    page = Path(web_runtime.__file__).parent / "web"
    chromium.call("Page.navigate", url=(page / "index.html").as_uri())
    chromium.wait("document.getElementById('trouble')?.hidden === false")
    assert "python3 -m http.server" in chromium.text("trouble")
