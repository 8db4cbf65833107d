"""The command ``nst webcam``. Nothing heavy is imported before it runs."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from infer.config import PaintConfig
from nst.errors import NSTError, UsageError
from nst.settings import ColorTransfer, setting, with_settings
from nst.terminal import result, say

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from infer.stylizer import Stylizer
    from infer.virtual_camera import VirtualCamera
    from infer.webcam import Screen, Source

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")


@dataclass(frozen=True, kw_only=True)
class WebcamConfig(PaintConfig):
    """Settings of ``nst webcam``."""

    color_transfer: ColorTransfer = setting(
        "luminance",
        "How --original-colors and the key o keep them: luminance, the camera's colour at every"
        " place; statistics, the painting's own colours moved towards the camera's.",
    )
    camera: str = setting("0", "Number of the camera, or path of a device or a video file.")
    size: int = setting(
        640,
        "Long side that the network sees, px; smaller is faster. 0: the camera's own size.",
        low=0,
    )
    width: int | None = setting(None, "Width to ask the camera for, px.", low=1)
    height: int | None = setting(None, "Height to ask the camera for, px.", low=1)
    virtual: bool = setting(
        False,
        "Show the painting to other programs too, as a camera for calls; needs pyvirtualcam and"
        " its driver.",
        flags=("--virtual",),
    )
    mirror: bool = setting(
        True, "Show left and right as a mirror does.", flags=("--mirror/--no-mirror",)
    )


@app.command()
@with_settings(WebcamConfig)
def webcam(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="Style model, the file of nst export or a name of `nst models list`; without it"
            " --style is looked for there.",
        ),
    ] = None,
    list_only: Annotated[
        bool, typer.Option("--list", help="Print the cameras that give a picture, and end.")
    ] = False,
    *,
    settings: WebcamConfig,
) -> None:
    """Paint what a camera sees, in a window.

    In the window: **q** or Escape ends, **s** saves the painting as a PNG file where you are, **r**
    starts and stops a recording, **1** to **9**, **n** and **p** choose among the styles of a
    model, **[** and **]** make it weaker and stronger, **m** turns the mirror on and off, **o** the
    original colours, **h** shows the keys. The first figure is frames per second, the second the
    age of a frame when it is shown.

    - `nst webcam starry.onnx`
    - `nst webcam starry.onnx --camera 1 --width 1280 --height 720 --size 960`
    - `nst webcam many.onnx --style wave --virtual`
    - `nst webcam --style starry-night`
    """
    if list_only:
        _list()
        return
    # Here, so that `nst --help` does not wait for numpy, ONNX Runtime and OpenCV.
    from infer.camera import Camera
    from infer.jobs import style_name
    from infer.model_choice import model_of, wishes_of
    from infer.stylizer import Stylizer
    from infer.virtual_camera import VirtualCamera
    from infer.window import Window, check_display

    if settings.style == "auto":
        raise UsageError("--style auto is for pictures and videos; nst suggest says what suits")
    wishes = wishes_of(settings.style, settings.gradient)
    place = model_of(model, wishes, settings.net, say)
    check_display()
    virtual = VirtualCamera() if settings.virtual else None
    paint = Stylizer(
        place,
        provider=settings.provider,
        threads=settings.threads,
        size=settings.size or None,
        brush=settings.brush,
        original_colors=settings.original_colors,
        color_transfer=settings.color_transfer,
        strength=settings.strength,
        style=settings.style,
        gradient=settings.gradient,
        texture=settings.texture,
        announce=say,
    )
    say(paint.session.describe_provider())
    with closing(Camera(settings.camera, width=settings.width, height=settings.height)) as camera:
        say(_describe(camera.name, camera.size, settings))
        first = _warm_up(paint, camera.size)
        if virtual is not None:
            virtual.send(first)
            say(f"virtual camera: {virtual.name}")
        with closing(virtual) if virtual is not None else nullcontext():
            window = Window(f"nst {style_name(paint.label, place)}")
            _show(
                paint,
                camera,
                window,
                settings,
                name=lambda: style_name(paint.label, place),
                virtual=virtual,
            )


def _list() -> None:
    from infer.camera import list_cameras

    cameras = list_cameras()
    for camera in cameras:
        result(f"{camera.index}  {camera.width}x{camera.height}  {camera.name}".rstrip())
    if not cameras:
        say("no camera gives a picture")


def _describe(name: str, size: tuple[int, int], settings: WebcamConfig) -> str:
    height, width = size
    line = f"{name}: {width}x{height}"
    asked = (settings.width or width, settings.height or height)
    return line if asked == (width, height) else f"{line}, not the {asked[0]}x{asked[1]} asked for"


def _warm_up(paint: Stylizer, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Let the provider prepare itself for this size, so that the first frame does not wait."""
    import numpy as np

    return paint(np.zeros((*size, 3), np.uint8), name="the camera's picture").rgb


def _show(
    paint: Stylizer,
    source: Source,
    screen: Screen,
    settings: WebcamConfig,
    *,
    name: Callable[[], str],
    virtual: VirtualCamera | None,
) -> None:
    """Run the loop, save what is asked for and say at the end how it went."""
    from infer.webcam import run_webcam
    from infer.webcam_keys import Keys, free_name
    from nst.image import save_image

    def paint_frame(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return paint(frame, name="the camera's picture").rgb

    keys = Keys(paint, name=name, announce=say, deliver=result)
    outputs = [keys.take]
    if virtual is not None:
        outputs.append(lambda painted, captured_at: virtual.send(painted))
    frames, dropped, started_at = 0, 0, time.perf_counter()
    ended_at = started_at
    latencies_ms: deque[float] = deque(maxlen=1000)
    records = run_webcam(
        source,
        paint_frame,
        screen,
        mirror=settings.mirror,
        actions=keys.actions,
        caption=keys.caption,
        outputs=outputs,
    )
    try:
        with closing(records), closing(keys):
            for record in records:
                frames, dropped, ended_at = record.frame, record.dropped, time.perf_counter()
                latencies_ms.append(record.latency_ms)
                if record.snapshot is not None:
                    path = free_name(name(), ".png")
                    try:
                        save_image(path, record.snapshot)
                    except NSTError as error:
                        say(str(error))  # the show goes on
                    else:
                        result(str(path))
    finally:
        elapsed_s = ended_at - started_at
        fps = frames / elapsed_s if elapsed_s > 0 else 0.0
        age = f", {statistics.median(latencies_ms):.0f} ms old when shown" if latencies_ms else ""
        say(f"{frames} frames shown, {fps:.1f} frames/s{age}, {dropped} of the camera's left out")
