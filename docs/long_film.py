"""Paint a synthetic film of ten minutes and look at what matters when it is long.

    python docs/long_film.py MODEL [--minutes 10] [--width 160]

Makes a film with a tone, paints it with `nst stylize`, and says whether every frame and all of the
sound are there and how much memory the painting took at its beginning, in its middle and at its
end. Then paints it again, sends Ctrl-C in the middle, and looks at what is left. It ends with exit
code 1 when something is wrong.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil

from nst.terminal import result

RATE, SOUND_RATE, SAMPLES = 25, 48000, 1024


def make_film(path: Path, seconds: int, width: int) -> None:
    """Write a moving pattern with a tone that beeps once a second."""
    height = width * 3 // 4
    rows, columns = np.mgrid[0:height, 0:width]
    with av.open(str(path), "w") as film:
        stream: Any = film.add_stream("libx264", rate=RATE, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        sound: Any = film.add_stream("aac", rate=SOUND_RATE)
        sound.layout = "mono"
        done = 0
        for i in range(seconds * RATE):
            shade = (columns * 2 + i * 3) % 256, (rows * 2 + i) % 256, (columns + rows + i) % 256
            frame = av.VideoFrame.from_ndarray(np.dstack(shade).astype(np.uint8), format="rgb24")
            film.mux(stream.encode(frame))
            while done < (i + 1) * SOUND_RATE // RATE:
                film.mux(sound.encode(tone(done)))
                done += SAMPLES
        film.mux(stream.encode(None))
        film.mux(sound.encode(None))


def tone(start: int) -> av.AudioFrame:
    """Return some samples of the tone."""
    at = np.arange(start, start + SAMPLES) / SOUND_RATE
    wave: Any = (0.3 * np.sin(2 * np.pi * 440 * at) * (at % 1 < 0.2)).astype(np.float32)[None]
    frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, start, Fraction(1, SOUND_RATE)
    return frame


def look_at(path: Path) -> tuple[int, float, int, float]:
    """Decode a film: frames, end of the last one in s, packets of sound, their end in s."""
    frames, pictures_s, packets, sound_s = 0, 0.0, 0, 0.0
    with av.open(str(path)) as film:
        for packet in film.demux():
            if packet.stream.type == "audio" and packet.pts is not None:
                packets += 1
                sound_s = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    frames += 1
                    pictures_s = float(frame.time or 0) + 1 / RATE
    return frames, pictures_s, packets, sound_s


def paint(model: Path, source: Path, target: Path, *, stop_after_s: float | None) -> list[float]:
    """Paint, and return the memory of the program in MB, once a second."""
    command = [sys.executable, "-m", "nst", "stylize", str(model), str(source), "-o", str(target)]
    program = subprocess.Popen([*command, "--overwrite"])
    process, memory_mb, started_at = psutil.Process(program.pid), list[float](), time.monotonic()
    while program.poll() is None:
        time.sleep(1)
        if program.poll() is None:
            memory_mb.append(process.memory_info().rss / 1e6)
        if stop_after_s is not None and time.monotonic() - started_at > stop_after_s:
            program.send_signal(signal.SIGINT)
            stop_after_s = None
    result(f"exit code {program.returncode} after {time.monotonic() - started_at:.0f} s")
    return memory_mb


def main() -> None:
    """Paint, look, stop in the middle, look again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--width", type=int, default=160)
    asked = parser.parse_args()
    # In the background a shell has Ctrl-C ignored, and programs inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "film.mp4"), Path(folder, "painted.mp4")
        make_film(source, round(60 * asked.minutes), asked.width)
        before = look_at(source)
        result("source: {} frames, {:.2f} s, {} packets of sound, {:.2f} s".format(*before))
        memory_mb = paint(asked.model, source, target, stop_after_s=None)
        after = look_at(target)
        result("painted: {} frames, {:.2f} s, {} packets of sound, {:.2f} s".format(*after))
        places = {"10 %": 0.1, "50 %": 0.5, "95 %": 0.95}
        at = {name: memory_mb[int(part * len(memory_mb))] for name, part in places.items()}
        result("memory, MB: " + ", ".join(f"{mb:.0f} at {name}" for name, mb in at.items()))
        result(f"most: {max(memory_mb):.0f} MB")

        paint(asked.model, source, target, stop_after_s=len(memory_mb) / 2)
        part = look_at(Path(folder, "painted.partial.mp4"))
        result("stopped: {} frames, {:.2f} s, {} packets of sound, {:.2f} s".format(*part))
    is_kept = after[0] == before[0] and after[2] == before[2] and abs(after[3] - before[3]) < 0.1
    is_flat = at["95 %"] < 1.1 * at["10 %"]
    is_playable = 0 < part[0] < before[0] and abs(part[1] - part[3]) < 1
    result(f"kept: {is_kept}, flat: {is_flat}, what was stopped plays: {is_playable}")
    raise SystemExit(not (is_kept and is_flat and is_playable))


if __name__ == "__main__":
    main()
