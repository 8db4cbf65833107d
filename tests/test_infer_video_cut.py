"""Parts of videos, and the codecs they are written with. Clips are made here and read with PyAV."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from infer.frames import WHOLE, Cut, cut_of, seconds_of
from infer.video import VideoRecord, stylize_video
from infer.video_codec import HARDWARE
from nst.errors import MediaError, NSTError, UsageError

Array = NDArray[np.uint8]
WIDTH, HEIGHT, RATE = 64, 48, 25


def picture(i: int) -> Array:
    """Frame i: eight bars, the bits of its number."""
    bits = [255 * (i >> bit & 1) for bit in range(8)]
    row = np.repeat(np.array(bits, np.uint8), WIDTH // 8)
    return np.broadcast_to(row[None, :, None], (HEIGHT, WIDTH, 3)).copy()


def number_of(frame: Array) -> int:
    bars = frame.mean(axis=(0, 2)).reshape(8, -1).mean(axis=1)
    return sum(1 << bit for bit, level in enumerate(bars) if level > 128)


def write_clip(
    path: Path,
    *,
    frames: int = 50,
    stamps_ms: list[int] | None = None,
    codec: str = "libx264",
    has_sound: bool = True,
    gop: int = 12,
    prepare: Callable[[Any], None] = lambda stream: None,
) -> Path:
    """Write a clip whose sound is silent but for the second that begins at 1 s."""
    stamps_ms = stamps_ms or [40 * i for i in range(frames)]
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream(codec, rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        base = Fraction(1, 25 if path.suffix == ".avi" else 1000)  # AVI knows a rate alone
        stream.codec_context.time_base = base
        stream.codec_context.gop_size = gop
        prepare(stream)
        tone: Any = out.add_stream("aac", rate=48000) if has_sound else None
        if tone is not None:
            tone.layout = "mono"
        for i, stamp in enumerate(stamps_ms):
            frame: Any = av.VideoFrame.from_ndarray(picture(i), format="rgb24")
            frame.pts, frame.time_base = round(Fraction(stamp, 1000) / base), base
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if tone is not None:
            _write_tone(out, tone, seconds=(stamps_ms[-1] + 40) / 1000)
    return path


def _write_tone(out: Any, tone: Any, *, seconds: float) -> None:
    at = np.arange(int(48000 * seconds)) / 48000
    wave = np.where((at >= 1) & (at < 2), 0.3 * np.sin(2 * np.pi * 440 * at), 0)
    for start in range(0, len(wave) - 1024, 1024):
        samples: Any = wave[None, start : start + 1024].astype(np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        out.mux(tone.encode(frame))
    out.mux(tone.encode(None))


def read(path: Path) -> tuple[list[int], list[Fraction]]:
    """Numbers of the frames, and when they are shown."""
    numbers, times = [], []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            rgb: Any = frame.to_ndarray(format="rgb24")
            numbers.append(number_of(rgb))
            assert frame.pts is not None
            assert frame.time_base is not None
            times.append(frame.pts * frame.time_base)
    return numbers, times


def loud_from_to(path: Path) -> tuple[float, float]:
    """When the tone in a file begins and ends, seconds on the clock of its pictures."""
    loud = []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            wave = frame.to_ndarray()[0]
            assert frame.time is not None
            if np.sqrt(np.mean(wave**2)) > 0.1:
                loud.append((frame.time, frame.time + len(wave) / 48000))
    return loud[0][0], loud[-1][1]


def paint(source: Path, target: Path, **options: Any) -> list[VideoRecord]:
    return list(stylize_video(lambda frame: frame, source, target, **options))


def cut(start: float | str | None = None, duration: float | str | None = None) -> Cut:
    return cut_of(
        None if start is None else str(start), None if duration is None else str(duration)
    )


# Truth: by hand
@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", Fraction(0)),
        ("90", Fraction(90)),
        ("1:30", Fraction(90)),
        ("1:02:30.5", Fraction(7501, 2)),
        ("0.1", Fraction(1, 10)),
        (" 7 ", Fraction(7)),
    ],
)
def test_times_are_read_as_people_write_them(text: str, seconds: Fraction) -> None:
    assert seconds_of(text, "--start") == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1", "1:2:3:4", "1.", "1e3", "1:.5", "٣"])
def test_what_is_no_time_names_its_flag(text: str) -> None:
    with pytest.raises(UsageError, match=r"--start .*: write seconds or hh:mm:ss"):
        cut_of(text, None)


def test_a_part_must_not_be_empty() -> None:
    with pytest.raises(UsageError, match="--duration must be more than 0"):
        cut_of(None, "0:00")
    assert cut_of(None, None) == WHOLE


# Truth: frame i is shown from 40 i to 40 (i + 1) ms
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
@pytest.mark.parametrize(
    ("start", "duration", "first", "last"),
    [(None, 0.4, 0, 9), (0.4, None, 10, 49), (1.6, 0.2, 40, 44), (1.6, 9, 40, 49), (0, 0.08, 0, 1)],
)
def test_the_frames_of_a_part(
    tmp_path: Path,
    suffix: str,
    start: float | None,
    duration: float | None,
    first: int,
    last: int,
) -> None:
    codec = "mpeg4" if suffix == ".avi" else "libx264"
    source = write_clip(tmp_path / f"in{suffix}", codec=codec, has_sound=suffix != ".avi")
    records = paint(source, tmp_path / "out.mp4", cut=cut(start, duration))
    numbers, times = read(tmp_path / "out.mp4")
    assert numbers == list(range(first, last + 1))
    assert [time - times[0] for time in times] == [Fraction(i, RATE) for i in range(len(numbers))]
    assert times[0] == 0
    assert records[-1].frame == len(numbers)
    assert {record.total_frames for record in records} == {len(numbers)}
    assert [note for record in records for note in record.notes] == []


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_sound_is_cut_with_the_pictures(tmp_path: Path, suffix: str) -> None:
    """By hand: the tone from 1 to 2 s, seen from 0.8 s on; packets of AAC are 21 ms long."""
    source = write_clip(tmp_path / f"in{suffix}", frames=75)
    paint(source, tmp_path / f"out{suffix}", cut=cut(0.8, 1))
    begin, end = loud_from_to(tmp_path / f"out{suffix}")
    assert begin == pytest.approx(0.2, abs=0.06)
    assert end == pytest.approx(1.0, abs=0.06)
    with av.open(str(tmp_path / f"out{suffix}")) as container:
        assert container.duration == pytest.approx(1e6, abs=6e4)


def test_a_part_far_inside_is_reached_through_its_key_frames(tmp_path: Path) -> None:
    """One key frame at the beginning, or many: the same frames, and no damage in them."""
    for gop in (5, 1000):
        source = write_clip(tmp_path / f"{gop}.mkv", frames=200, gop=gop)
        paint(source, tmp_path / f"out{gop}.mkv", cut=cut(6, 0.4))
        assert read(tmp_path / f"out{gop}.mkv")[0] == list(range(150, 160))


def test_what_is_on_the_screen_at_the_start_is_the_first_picture(tmp_path: Path) -> None:
    """By hand: pictures at 0, 1 and 3 s, from 2 s on, and 0.5 s of that."""
    source = write_clip(tmp_path / "in.mkv", stamps_ms=[0, 1000, 3000, 3040], has_sound=False)
    with av.open(str(source)) as container:
        rate = container.streams.video[0].average_rate
    assert rate == RATE
    paint(source, tmp_path / "out.mkv", cut=cut(3, 0.5))
    assert read(tmp_path / "out.mkv")[0] == [2, 3]


def test_a_start_behind_the_end_is_one_line(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4")
    with pytest.raises(MediaError, match=r"in\.mp4: --start 2 s is not before its end at 2 s"):
        paint(source, tmp_path / "out.mp4", cut=cut(2))
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


# --- codecs


@pytest.mark.parametrize(
    ("codec", "suffix", "name"),
    [
        (None, ".mp4", "h264"),
        ("hevc", ".mp4", "hevc"),
        ("hevc", ".mkv", "hevc"),
        ("av1", ".mp4", "av1"),
        ("av1", ".webm", "av1"),
        ("vp9", ".mp4", "vp9"),
        ("prores", ".mov", "prores"),
        (None, ".webm", "vp9"),
    ],
)
def test_a_film_is_written_with_the_codec_that_is_named(
    tmp_path: Path, codec: str | None, suffix: str, name: str, capfd: Any
) -> None:
    source = write_clip(tmp_path / "in.mp4", frames=8, has_sound=False)
    records = paint(source, tmp_path / f"out{suffix}", codec=codec)
    with av.open(str(tmp_path / f"out{suffix}")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.codec.canonical_name == name
        assert stream.codec_context.codec_tag == "hvc1" or (codec, suffix) != ("hevc", ".mp4")
    numbers, times = read(tmp_path / f"out{suffix}")
    assert numbers == list(range(8))
    assert [time - times[0] for time in times] == [Fraction(i, RATE) for i in range(8)]
    assert records[-1].frame == 8
    assert capfd.readouterr() == ("", "")  # the encoders keep their talk to themselves


def test_less_quality_is_fewer_bytes_with_every_codec(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    noise = draw.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    source = write_clip(tmp_path / "in.mp4", frames=4, has_sound=False)
    for codec, suffix in (("hevc", "mp4"), ("vp9", "webm"), ("av1", "mp4"), ("prores", "mov")):
        sizes = []
        for quality in (10, 95):
            target = tmp_path / f"{codec}-{quality}.{suffix}"
            list(stylize_video(lambda _: noise, source, target, codec=codec, quality=quality))
            sizes.append(target.stat().st_size)
        assert sizes[0] < sizes[1], codec


@pytest.mark.parametrize(
    ("codec", "name", "words"),
    [
        (
            "prores",
            "out.mp4",
            r"--codec prores: \.mp4 files are written with h264, .*\.mov or \.mkv",
        ),
        ("h264", "out.webm", r"--codec h264: \.webm files are written with vp9, av1"),
        ("divx", "out.mp4", "--codec divx is not known; it is one of h264, hevc, vp9, av1, prores"),
        ("vp9", "out.gif", r"--codec vp9 is for films; \.gif files have a coding of their own"),
    ],
)
def test_a_codec_that_does_not_fit_is_one_line(
    tmp_path: Path, codec: str, name: str, words: str
) -> None:
    source = write_clip(tmp_path / "in.mp4", frames=2, has_sound=False)
    with pytest.raises(UsageError, match=words):
        paint(source, tmp_path / name, codec=codec)


@pytest.mark.parametrize("codec", sorted(HARDWARE))
def test_an_encoder_of_a_card_that_is_not_there_is_one_line(tmp_path: Path, codec: str) -> None:
    """Where the card is there the film is written with it."""
    source = write_clip(tmp_path / "in.mp4", frames=2, has_sound=False)
    refusal: NSTError | None = None
    try:
        paint(source, tmp_path / "out.mp4", codec=codec)
    except NSTError as error:
        refusal = error
    if refusal is None:
        assert len(read(tmp_path / "out.mp4")[0]) == 2
        return
    assert str(refusal).startswith(f"--codec {codec}")
    assert f"--codec {codec.partition('_')[0]} needs no graphics card" in str(refusal)
    assert "\n" not in str(refusal)
    assert not (tmp_path / "out.mp4").exists()


# --- range


def _full(stream: Any) -> None:
    stream.codec_context.color_range = 2


@pytest.mark.parametrize(
    ("is_full", "codec", "suffix", "kept"),
    [
        (True, None, ".mp4", 2),
        (True, "hevc", ".mkv", 2),
        (True, "av1", ".mp4", 2),
        (True, None, ".webm", 2),
        (True, "prores", ".mov", 1),
        (False, None, ".mp4", 1),
    ],
)
def test_the_range_of_the_colours_is_kept(
    tmp_path: Path, is_full: bool, codec: str | None, suffix: str, kept: int
) -> None:
    """Black and white stay what they are; FFmpeg's number for full range is 2."""
    source = tmp_path / "in.mp4"
    with av.open(str(source), "w") as out:
        stream: Any = out.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.color_range = 2 if is_full else 1
        for level in (0, 255):
            frame = av.VideoFrame.from_ndarray(np.full_like(picture(0), level), format="rgb24")
            span = "JPEG" if is_full else "MPEG"
            out.mux(stream.encode(frame.reformat(format="yuv420p", dst_color_range=span)))
        out.mux(stream.encode(None))
    seen: list[float] = []

    def look(frame: Array) -> Array:
        seen.append(float(frame.mean()))
        return frame

    target = tmp_path / f"out{suffix}"
    list(stylize_video(look, source, target, codec=codec))
    assert seen == pytest.approx([0, 255], abs=2)
    with av.open(str(target)) as container:
        assert container.streams.video[0].codec_context.color_range == kept
        levels = [f.to_ndarray(format="rgb24").mean() for f in container.decode(video=0)]
    assert levels == pytest.approx([0, 255], abs=3)


@pytest.mark.parametrize(
    ("start", "duration", "frames"),
    [
        (None, Fraction(1, 5), 5),  # 0 to 4
        (Fraction(1, 2), Fraction(1, 5), 6),  # 12, which is on the screen at 0.5 s, to 17
        (Fraction(1, 2), None, 13),  # 12 to 24
        (Fraction(4, 5), Fraction(9), 5),  # 20 to 24
        (None, None, 25),
    ],
)
def test_how_many_frames_a_part_has(
    start: Fraction | None, duration: Fraction | None, frames: int
) -> None:
    """By hand, of 25 frames at 25 a second."""
    assert Cut(start, duration).frames(25, Fraction(25)) == frames
