"""The command ``nst serve``. Nothing heavy is imported before it runs."""

from __future__ import annotations

import errno
import ipaddress
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infer.config import Models
from nst.errors import InferenceError, OutputError, UsageError
from nst.files import describe
from nst.settings import Provider, Settings, given_flags, setting, with_settings
from nst.terminal import format_size, progress, result, say

if TYPE_CHECKING:
    from infer.shelf import Shelf

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")

_OF_A_SERVER = ("--port", "--host", "--token")
LEAST_TOKEN = 16
"""Characters of a token; shorter ones can be guessed."""


@dataclass(frozen=True, kw_only=True)
class ServeConfig(Settings):
    """Settings of ``nst serve``."""

    port: int = setting(8720, "Port of the page; 0 takes a free one.", low=0, high=65535)
    host: str = setting(
        "127.0.0.1",
        "Address to listen at. Any other than that of this computer needs --token.",
    )
    token: str | None = setting(
        None,
        f"What every client must know, {LEAST_TOKEN} characters or more; the page is then opened"
        " with /?token=...",
    )
    size: int = setting(
        512,
        "Long side that the network sees at first, px; the page can change it.",
        low=32,
        high=2048,
    )
    provider: Provider = setting(
        "auto", "Where to run; auto is CUDA, else DirectML, else the CPU, and says what it got."
    )
    threads: int = setting(
        0, "Threads of a run on the CPU; 0: ONNX Runtime's own, one for each core.", low=0
    )


@app.command()
@with_settings(ServeConfig)
def serve(
    models: Models = None,
    write: Annotated[
        Path | None,
        typer.Option(
            "--write",
            metavar="DIR",
            help="Serve nothing: write the page and the models as a folder that runs in the"
            " browser alone and can be put on any web server.",
        ),
    ] = None,
    in_browser: Annotated[
        bool,
        typer.Option(
            "--in-browser",
            help="Let the page paint in the browser too; fetches onnxruntime-web, 33 MB, once.",
        ),
    ] = False,
    runtime: Annotated[
        Path | None,
        typer.Option(
            "--runtime",
            metavar="FILE",
            help="The package onnxruntime-web as npm pack writes it, in place of the download.",
        ),
    ] = None,
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the page in the browser.")
    ] = False,
    *,
    ctx: typer.Context,
    settings: ServeConfig,
) -> None:
    """Open a studio in the browser: camera or pictures, painted live.

    The address is printed on stdout; Ctrl-C ends it. Nothing leaves this computer.

    - `nst serve starry.onnx udnie.onnx --open`
    - `nst serve starry.onnx --write studio/`
    """
    from infer.model_choice import models_in
    from infer.shelf import open_shelf
    from infer.static_folder import check_folder, write_folder
    from infer.web_runtime import cached_runtime, get_runtime

    if write is not None:
        idle = [flag for flag in given_flags(ServeConfig, ctx) if flag in _OF_A_SERVER]
        idle += ["--in-browser"] * in_browser + ["--open"] * open_page
        if idle:
            raise UsageError(f"no use for {' and '.join(idle)} with --write, which serves nothing")
        check_folder(write)
    else:
        _check_access(settings)
        _check_packages()
    shelf = open_shelf(
        models_in(models or (), say), settings.provider, threads=settings.threads, announce=say
    )
    if write is not None:
        folder = get_runtime(runtime, announce=say, bars=progress)
        size = write_folder(write, shelf, folder, size=settings.size)
        say(f"{format_size(size)}; to try it: python3 -m http.server -d {write}")
        result(str(write))
        return
    say(shelf.first.session.describe_provider())
    if in_browser or runtime is not None:
        _serve(shelf, settings, get_runtime(runtime, announce=say, bars=progress), open_page)
    else:
        _serve(shelf, settings, cached_runtime(), open_page)


def _serve(shelf: Shelf, settings: ServeConfig, runtime: Path | None, open_page: bool) -> None:
    from infer.server import create_app, server_of
    from infer.server_limits import LOOPBACK

    with _listening(settings.host, settings.port) as listener:
        port = listener.getsockname()[1]
        page = create_app(
            shelf,
            hosts={*LOOPBACK, _in_url(settings.host)},
            token=settings.token,
            size=settings.size,
            runtime=runtime,
        )
        shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
        url = f"http://{_in_url(shown)}:{port}/"
        result(url)
        if settings.token is not None:
            say("open it once with ?token= and the token behind that address")
            url += f"?token={settings.token}"
        if open_page:
            import webbrowser

            # The socket listens already: the page waits until it is served, and a browser of the
            # terminal, which ends when its user is done, for that.
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
        server_of(page).run(sockets=[listener])


def _check_access(settings: ServeConfig) -> None:
    if settings.token is not None:
        is_plain = settings.token.isascii() and settings.token.replace("-", "a").isalnum()
        if len(settings.token) < LEAST_TOKEN or not is_plain:
            raise UsageError(
                f"--token must be {LEAST_TOKEN} or more letters, digits and hyphens, such as"
                " `python3 -c 'import secrets; print(secrets.token_hex(16))'` makes"
            )
    elif not _is_loopback(settings.host):
        raise UsageError(
            f"--host {settings.host}: others could reach it; give a --token that they must know,"
            " or leave --host out"
        )


def _check_packages() -> None:
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
        import websockets  # noqa: F401
    except ImportError as error:
        raise InferenceError(
            f"nst serve needs the package {error.name}; install it:"
            " pip install fastapi uvicorn websockets"
        ) from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        is_any = host == "::" and socket.has_dualstack_ipv6()
        return socket.create_server((host, port), family=family, dualstack_ipv6=is_any)
    except UnicodeError:
        raise UsageError(f"--host {host}: that is no name of a host") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UsageError(
                f"--port {port} is taken; choose another one, 0 takes a free one"
            ) from None
        raise OutputError(
            f"--host {host} --port {port}: cannot listen there, {describe(error)}"
        ) from None
