"""The command ``nst serve`` and the folder that it writes. Truths: by hand, and what is on disk."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import socket
import subprocess
import sys
import tarfile
from collections.abc import Callable
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from infer import serve_cli, web_runtime
from nst.cache_folder import cache_folder

pytest.importorskip("fastapi", reason="the extra serve is not installed")

Run = Callable[..., int | str | None]
CONTENT = {name: f"// {name}".encode() for name in web_runtime.FILES}
"""What stands in for onnxruntime-web."""


def packed(path: Path, content: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(data)
            archive.addfile(member, BytesIO(data))
    return path


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small package in place of that of 33 MB, known by its hashes, and an empty cache."""
    path = packed(tmp_path / "package.tgz", CONTENT)
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in CONTENT.items()}
    monkeypatch.setattr(web_runtime, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(web_runtime, "FILES", hashes)
    monkeypatch.setattr(web_runtime, "URL", path.as_uri())
    monkeypatch.setenv("NST_CACHE", str(tmp_path / "cache"))
    return path


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Let nothing be served; what would have been."""
    found: list[dict[str, Any]] = []

    class Server:
        def run(self, sockets: list[socket.socket]) -> None:
            found[-1]["address"] = sockets[0].getsockname()[:2]

    def create_app(shelf: Any, **options: Any) -> None:
        found.append({"models": [model.name for model in shelf], **options})

    monkeypatch.setattr("infer.server.create_app", create_app)
    monkeypatch.setattr("infer.server.server_of", lambda app: Server())
    return found


def test_a_folder_holds_all_that_the_page_loads(
    exit_code: Run, invert_model: Path, mix_model: Path, package: Path, tmp_path: Path, capsys: Any
) -> None:
    folder = tmp_path / "studio"
    assert exit_code("serve", invert_model, mix_model, "--write", folder, "--size", "320") == 0
    out, err = capsys.readouterr()
    assert out == f"{folder}\n"
    assert f"downloading 33 MB from {package.as_uri()}" in err
    assert "python3 -m http.server" in err
    told = json.loads((folder / "models.json").read_text())
    assert told["server"] is None
    assert told["size"] == 320
    assert [model["name"] for model in told["models"]] == ["invert", "two-styles"]
    for model in told["models"]:
        for style in model["styles"]:
            assert (folder / style["thumbnail"]).is_file()
    assert (folder / "models/invert.onnx").read_bytes() == invert_model.read_bytes()
    assert (folder / "models/two-styles.onnx").read_bytes() == mix_model.read_bytes()
    runtime = folder / told["runtime"]
    assert {path.name: path.read_bytes() for path in runtime.iterdir()} == CONTENT
    page = Path(serve_cli.__file__).parent / "web"
    for path in page.iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes()
    assert "Microsoft" in (folder / "onnxruntime-web-LICENSE.txt").read_text()
    written = b"".join(path.read_bytes() for path in folder.rglob("*.js*"))
    assert str(tmp_path).encode() not in written


def test_the_runtime_is_fetched_once(
    exit_code: Run, invert_model: Path, package: Path, tmp_path: Path, capsys: Any
) -> None:
    assert exit_code("serve", invert_model, "--write", tmp_path / "one") == 0
    package.unlink()
    assert [path.name for path in cache_folder().iterdir()] == [web_runtime.FOLDER]
    capsys.readouterr()
    assert exit_code("serve", invert_model, "--write", tmp_path / "two") == 0
    assert "downloading" not in capsys.readouterr().err


def test_a_damaged_runtime_in_the_cache_is_fetched_again(
    exit_code: Run, invert_model: Path, package: Path, tmp_path: Path
) -> None:
    assert exit_code("serve", invert_model, "--write", tmp_path / "one") == 0
    name = next(iter(CONTENT))
    (cache_folder() / web_runtime.FOLDER / name).write_bytes(b"// another")
    assert web_runtime.cached_runtime() is None
    assert exit_code("serve", invert_model, "--write", tmp_path / "two") == 0
    assert (tmp_path / "two" / web_runtime.FOLDER / name).read_bytes() == CONTENT[name]


def test_a_package_that_lies_here_is_not_downloaded(
    exit_code: Run, invert_model: Path, package: Path, tmp_path: Path, capsys: Any
) -> None:
    folder = tmp_path / "studio"
    code = exit_code("serve", invert_model, "--write", folder, "--runtime", package)
    assert code == 0
    assert "downloading" not in capsys.readouterr().err
    assert package.is_file()


def test_another_package_is_refused(
    exit_code: Run, invert_model: Path, package: Path, tmp_path: Path, capsys: Any
) -> None:
    other = packed(tmp_path / "other.tgz", CONTENT | {next(iter(CONTENT)): b"// evil"})
    code = exit_code("serve", invert_model, "--write", tmp_path / "studio", "--runtime", other)
    assert code == 1
    assert "other.tgz is not onnxruntime-web" in capsys.readouterr().err
    code = exit_code("serve", invert_model, "--write", tmp_path / "studio", "--runtime", "no.tgz")
    assert code == 1
    assert "no.tgz: cannot be read, no such file or folder" in capsys.readouterr().err


def test_a_download_of_something_else_is_refused(
    exit_code: Run,
    invert_model: Path,
    package: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    other = packed(tmp_path / "other.tgz", {"evil.js": b""})
    monkeypatch.setattr(web_runtime, "URL", other.as_uri())
    assert exit_code("serve", invert_model, "--write", tmp_path / "studio") == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("nst: onnxruntime-web could not be downloaded from file:")
    assert "give the package with --runtime" in line
    assert not (tmp_path / "studio").exists()


def test_a_file_in_the_package_is_checked_too(
    exit_code: Run,
    invert_model: Path,
    package: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    name = next(iter(CONTENT))
    monkeypatch.setitem(web_runtime.FILES, name, "0" * 64)
    assert exit_code("serve", invert_model, "--write", tmp_path / "studio") == 1
    assert f"{name} in it is another file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "idle", [("--open",), ("--port", "8720"), ("--token", "0" * 16), ("--in-browser",)]
)
def test_what_has_no_use_for_a_folder_is_refused(
    exit_code: Run, invert_model: Path, tmp_path: Path, idle: tuple[str, ...], capsys: Any
) -> None:
    assert exit_code("serve", invert_model, "--write", tmp_path / "studio", *idle) == 2
    assert f"no use for {idle[0]} with --write" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["full", "a file"])
def test_a_folder_that_holds_something_is_left_alone(
    exit_code: Run, invert_model: Path, package: Path, tmp_path: Path, kind: str, capsys: Any
) -> None:
    target = tmp_path / "studio"
    if kind == "full":
        target.mkdir()
        (target / "mine.txt").write_text("mine")
    else:
        target.write_text("mine")
    assert exit_code("serve", invert_model, "--write", target) == 1
    assert "exists and is not empty; name a new folder with --write" in capsys.readouterr().err
    assert (target / "mine.txt" if kind == "full" else target).read_text() == "mine"


def test_what_is_served(
    exit_code: Run, invert_model: Path, mix_model: Path, served: list[Any], capsys: Any
) -> None:
    models = invert_model.parent
    assert exit_code("serve", models, mix_model, "--port", "0", "--provider", "cpu") == 0
    out, err = capsys.readouterr()
    (app,) = served
    assert app["models"] == ["invert", "two-styles"]
    assert app["token"] is None
    assert app["hosts"] == {"127.0.0.1", "localhost", "[::1]"}
    assert app["runtime"] is None
    host, port = app["address"]
    assert host == "127.0.0.1"
    assert out == f"http://127.0.0.1:{port}/\n"
    assert "provider: asked CPU, got CPU" in err


def test_the_browser_can_paint_with_what_is_in_the_cache(
    exit_code: Run, invert_model: Path, package: Path, served: list[Any]
) -> None:
    command = ("serve", invert_model, "--port", "0")
    assert exit_code(*command) == 0
    assert exit_code(*command, "--in-browser") == 0
    assert exit_code(*command) == 0
    folder = cache_folder() / web_runtime.FOLDER
    assert [app["runtime"] for app in served] == [None, folder, folder]


def test_others_need_a_token(
    exit_code: Run, invert_model: Path, served: list[Any], capsys: Any
) -> None:
    command = ("serve", invert_model, "--port", "0", "--host", "0.0.0.0")
    assert exit_code(*command) == 2
    assert "--host 0.0.0.0: others could reach it; give a --token" in capsys.readouterr().err
    assert served == []
    assert exit_code(*command, "--token", "0123456789abcdef") == 0
    (app,) = served
    assert app["token"] == "0123456789abcdef"
    assert "0123456789abcdef" not in capsys.readouterr().out  # the address may be shown around


@pytest.mark.parametrize(
    "token", ["short", "0123456789abcde", "0123456789 abcdef", "0123456789abcdéf"]
)
def test_a_weak_token_is_refused(
    exit_code: Run, invert_model: Path, token: str, served: list[Any], capsys: Any
) -> None:
    assert exit_code("serve", invert_model, "--token", token) == 2
    assert "--token must be 16 or more" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *(("127.0.0.1", True), ("127.0.0.2", True), ("::1", True), ("localhost", True)),
        *(("0.0.0.0", False), ("::", False), ("192.168.0.7", False), ("example.org", False)),
    ],
)
def test_which_addresses_are_of_this_computer(host: str, expected: bool) -> None:
    assert serve_cli._is_loopback(host) is expected


def test_a_port_that_is_taken_is_one_line(
    exit_code: Run, invert_model: Path, served: list[Any], capsys: Any
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert exit_code("serve", invert_model, "--port", str(port)) == 2
    assert f"--port {port} is taken; choose another one" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--port", "70000"), "--port must be at most 65535"),
        (("--size", "8"), "--size must be at least 32"),
        (("--host", "a..b", "--token", "0" * 16), "--host a..b: that is no name of a host"),
        (("--host", "203.0.113.7", "--token", "0" * 16), "--port 8720: cannot listen"),
    ],
)
def test_bad_settings_are_one_line(
    exit_code: Run,
    invert_model: Path,
    arguments: tuple[str, ...],
    words: str,
    served: list[Any],
    capsys: Any,
) -> None:
    assert exit_code("serve", invert_model, *arguments) in (1, 2)
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_no_model_is_one_line(exit_code: Run, tmp_path: Path, capsys: Any) -> None:
    assert exit_code("serve", tmp_path) == 2
    assert "no model in it" in capsys.readouterr().err
    (tmp_path / "text.onnx").write_text("no model")
    assert exit_code("serve", tmp_path / "text.onnx") == 1
    assert "is no ONNX file" in capsys.readouterr().err


def test_the_page_is_opened_with_the_token(
    exit_code: Run, invert_model: Path, served: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    command = ("serve", invert_model, "--port", "0", "--open")
    assert exit_code(*command) == 0
    assert exit_code(*command, "--token", "0123456789abcdef") == 0
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", opened[0])
    assert opened[1].endswith("/?token=0123456789abcdef")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_it_serves_until_it_is_stopped(
    invert_model: Path, number: signal.Signals, code: int
) -> None:
    """The whole program, which has no torch in memory; the first line on stdout is the address."""
    program = f"""
import sys
from nst.cli import main
try:
    main(["serve", {str(invert_model)!r}, "--port", "0", "--provider", "cpu"])
finally:
    assert "torch" not in sys.modules
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        address = process.stdout.readline()
        port = int(re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\n", address)[1])  # type: ignore[index]
        connection = HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/healthz")
        assert connection.getresponse().read() == b'{"status":"ok","painting":0,"live":0}'
        connection.close()
        process.send_signal(number)
        said = process.stderr.read()
        assert process.wait(20) == code
    assert said.splitlines() == ["provider: asked CPU, got CPU", "nst: stopped"]
