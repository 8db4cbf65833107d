"""Painting videos: clips made here with PyAV, painted into their negative and read back."""

from __future__ import annotations

import ast
import builtins
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

import infer
from infer.display_matrix import upright
from infer.video import VideoRecord, stylize_video
from infer.video_codec import rate_factor
from infer.video_format import FORMATS, output_suffix
from infer.video_reader import VideoReader
from infer.video_writer import VideoWriter
from nst.errors import MediaError, OutputError, PixelLimitError, UsageError
from nst.interrupt import ends_as_ctrl_c

WIDTH, HEIGHT, RATE = 64, 48, 25
CODEC_TOLERANCE = 6
"""Mean grey levels between a painted frame and the one read back: 4:2:0, 8 bits, quality 18."""

Array = NDArray[np.uint8]


def negative(frame: Array) -> Array:
    return 255 - frame


def pattern(i: int, width: int = WIDTH, height: int = HEIGHT) -> Array:
    """Frame i: a ramp that grows brighter, the upper left quarter red, the lower right blue."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[...] = (40 + 8 * i) % 256
    picture[: height // 2, : width // 2] = (220, 40, 40)
    picture[height // 2 :, width // 2 :] = (40, 60, 200)
    return picture


def write_clip(
    path: Path,
    *,
    frames: int = 20,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    stamps: Sequence[int] | None = None,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    sound: str | None = "aac",
    prepare: Callable[[Any], None] = lambda stream: None,
    **color: Any,
) -> Path:
    """Write a clip with a 440 Hz tone; stamps in milliseconds."""
    stamps = stamps or [i * 1000 // RATE for i in range(frames)]
    with av.open(str(path), "w", container_options={"video_track_timescale": "1000"}) as out:
        stream: Any = out.add_stream(codec, rate=RATE)
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.options = {"crf": "10"} if codec == "libx264" else {"qmin": "1", "qmax": "2"}
        prepare(stream)
        tone = _add_tone(out, sound) if sound else None
        for i, stamp in enumerate(stamps):
            picture: Any = av.VideoFrame.from_ndarray(pattern(i, *size), format="rgb24")
            picture = picture.reformat(format=pixels, **color)
            picture.pts, picture.time_base = stamp, Fraction(1, 1000)
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
        if tone is not None:
            _write_tone(out, tone, seconds=(stamps[-1] + 40) / 1000)
    return path


def _add_tone(out: Any, codec: str) -> Any:
    tone = out.add_stream(codec, rate=48000)
    tone.layout = "mono"
    return tone


def _write_tone(out: Any, tone: Any, *, seconds: float) -> None:
    wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(int(48000 * seconds)) / 48000)
    kind: Any = {"s16": np.int16, "u8": np.uint8}.get(tone.format.name, np.float32)
    if kind is np.int16:
        wave *= 32767
    if kind is np.uint8:
        wave = 127 * wave + 128
    for start in range(0, len(wave) - 960, 960):
        samples: Any = wave[None, start : start + 960].astype(kind)
        frame = av.AudioFrame.from_ndarray(samples, format=tone.format.name, layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        out.mux(tone.encode(frame))
    out.mux(tone.encode(None))


@dataclass
class Clip:
    """What a file holds, read without our reader."""

    frames: list[Array]
    times: list[Fraction]
    sound: list[bytes]
    stream: dict[str, Any]


def read_clip(path: Path) -> Clip:
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        matrix = {1: "ITU709"}.get(video.codec_context.colorspace, "ITU601")
        frames: list[Array] = []
        times: list[Fraction] = []
        sound: list[bytes] = []
        for packet in container.demux():
            if packet.stream.type == "audio" and packet.dts is not None:
                sound.append(bytes(packet))
            elif packet.stream.type == "video":
                for frame in packet.decode():
                    assert isinstance(frame, av.VideoFrame)
                    assert frame.pts is not None
                    assert frame.time_base is not None
                    rgb: Any = frame.to_ndarray(format="rgb24", src_colorspace=matrix)
                    frames.append(rgb)
                    times.append(frame.pts * frame.time_base)
        facts = {
            "rate": video.average_rate,
            "time_base": video.time_base,
            "aspect": video.sample_aspect_ratio,
            "codec": video.codec_context.name,
            "matrix": video.codec_context.colorspace,
        }
    return Clip(frames, times, sound, facts)


def paint_all(source: Path, target: Path, **options: Any) -> list[VideoRecord]:
    return list(stylize_video(negative, source, target, **options))


def assert_alike(actual: Sequence[Array], expected: Sequence[Array]) -> None:
    assert len(actual) == len(expected)
    for a, b in zip(actual, expected, strict=True):
        assert a.shape == b.shape
        assert np.abs(a.astype(int) - b).mean() < CODEC_TOLERANCE


def leftovers(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir() if p.suffix == ".part"]


# Truth: the frames the clip was made of, and the packets and stamps of the source file.
@pytest.mark.parametrize(
    ("suffix", "sound", "codec"),
    [
        (".mp4", "aac", "h264"),
        (".mov", "pcm_s16le", "h264"),
        (".mkv", "libopus", "h264"),
        (".webm", "libopus", "vp9"),
    ],
)
def test_a_clip_keeps_its_frames_times_and_sound(
    tmp_path: Path, suffix: str, sound: str, codec: str
) -> None:
    inner = ".mkv" if suffix == ".webm" else suffix
    source = write_clip(tmp_path / f"in{inner}", sound=sound)
    records = paint_all(source, tmp_path / f"out{suffix}")

    before, after = read_clip(source), read_clip(tmp_path / f"out{suffix}")
    assert [r.frame for r in records] == [*range(1, 21), 20]
    assert all(r.notes == () for r in records)
    assert_alike(after.frames, [255 - pattern(i) for i in range(20)])
    assert after.times == before.times
    assert len(before.sound) > 5
    assert after.sound == before.sound
    assert after.stream["rate"] == before.stream["rate"] == RATE
    assert after.stream["time_base"] == before.stream["time_base"]
    assert after.stream["codec"] == codec
    assert leftovers(tmp_path) == []


def test_a_variable_frame_rate_survives(tmp_path: Path) -> None:
    stamps = [0, 7, 40, 333, 334, 900, 1000]
    source = write_clip(tmp_path / "in.mp4", stamps=stamps)
    paint_all(source, tmp_path / "out.mp4")
    after = read_clip(tmp_path / "out.mp4")
    assert after.times == [Fraction(s, 1000) for s in stamps]  # by hand
    assert after.stream["rate"] == read_clip(source).stream["rate"]


def test_another_container_moves_pictures_and_sound_together(tmp_path: Path) -> None:
    # AAC starts before zero; Matroska has no negative times, so that both move by one shift.
    source = write_clip(tmp_path / "in.mp4")
    paint_all(source, tmp_path / "out.mkv")
    before, after = read_clip(source), read_clip(tmp_path / "out.mkv")
    shift = after.times[0] - before.times[0]
    assert 0 <= shift < Fraction(1, 20)
    for a, b in zip(after.times, before.times, strict=True):
        assert abs(a - b - shift) <= Fraction(1, 1000)
    assert after.sound == before.sound


def test_odd_sizes_gain_a_repeated_row_and_column(tmp_path: Path) -> None:
    source = write_clip(
        tmp_path / "in.mkv", frames=3, size=(31, 21), codec="ffv1", pixels="bgr0", sound=None
    )
    records = paint_all(source, tmp_path / "out.mp4")
    assert any("31x21 is written as 32x22" in note for r in records for note in r.notes)
    frames = read_clip(tmp_path / "out.mp4").frames
    expected = [np.pad(255 - pattern(i, 31, 21), ((0, 1), (0, 1), (0, 0)), "edge") for i in (0, 1)]
    assert_alike(frames[:2], expected)


@pytest.mark.parametrize("degrees", [90, 180, -90])
def test_rotated_frames_are_painted_upright(tmp_path: Path, degrees: int) -> None:
    # FFmpeg: the rotation of a display matrix turns the frame counterclockwise; so does rot90.
    source = write_clip(
        tmp_path / "in.mp4", frames=3, prepare=lambda s: s.set_display_rotation(degrees)
    )
    with av.open(str(source)) as container:
        said = next(container.decode(video=0)).rotation
    assert abs(said) == abs(degrees)
    seen: list[Array] = []

    def paint(frame: Array) -> Array:
        seen.append(frame)
        return frame

    list(stylize_video(paint, source, tmp_path / "out.mp4"))
    expected = [np.rot90(pattern(i), said // 90) for i in range(3)]
    assert_alike(seen, expected)
    assert_alike(read_clip(tmp_path / "out.mp4").frames, expected)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert next(container.decode(video=0)).rotation == 0


def test_a_mirrored_clip_is_painted_as_it_is_shown(tmp_path: Path) -> None:
    source = write_clip(
        tmp_path / "in.mp4", frames=2, prepare=lambda s: s.set_display_rotation(0, hflip=True)
    )
    paint_all(source, tmp_path / "out.mp4")
    expected = [255 - pattern(i)[:, ::-1] for i in range(2)]
    assert_alike(read_clip(tmp_path / "out.mp4").frames, expected)


def test_upright_by_hand() -> None:
    # A pixel (x, y) goes to (a x + c y, b x + d y): a quarter turn clockwise is (0, 1, -1, 0).
    picture = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    assert upright(picture, (1, 0, 0, 1))[..., 0].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert upright(picture, (-1, 0, 0, -1))[..., 0].tolist() == [[5, 4, 3], [2, 1, 0]]
    assert upright(picture, (0, 1, -1, 0))[..., 0].tolist() == [[3, 0], [4, 1], [5, 2]]
    assert upright(picture, (0, -1, 1, 0))[..., 0].tolist() == [[2, 5], [1, 4], [0, 3]]
    assert upright(picture, (0, 1, 1, 0))[..., 0].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_a_turn_that_is_no_quarter_is_refused(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", prepare=lambda s: s.set_display_rotation(30))
    with pytest.raises(MediaError, match="only quarter turns"):
        paint_all(source, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


def _wide_pixels(stream: Any) -> None:
    stream.codec_context.sample_aspect_ratio = Fraction(4, 3)


def test_the_shape_of_the_pixels_is_kept(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mkv", frames=2, prepare=_wide_pixels)
    paint_all(source, tmp_path / "out.mkv")
    assert read_clip(tmp_path / "out.mkv").stream["aspect"] == Fraction(4, 3)


def test_the_shape_of_the_pixels_turns_with_the_frame(tmp_path: Path) -> None:
    def prepare(stream: Any) -> None:
        _wide_pixels(stream)
        stream.set_display_rotation(90)

    source = write_clip(tmp_path / "in.mp4", frames=2, prepare=prepare)
    paint_all(source, tmp_path / "out.mp4")
    assert read_clip(tmp_path / "out.mp4").stream["aspect"] == Fraction(3, 4)


def assert_same_colours(actual: Array, expected: Array) -> None:
    """Compare the middle of each quarter, where chroma at half size says nothing."""
    for rows in (slice(2, 22), slice(26, 46)):
        for columns in (slice(2, 30), slice(34, 62)):
            a, b = (p[rows, columns].mean(axis=(0, 1)) for p in (actual, expected))
            np.testing.assert_allclose(a, b, atol=3)


def _tag_709(stream: Any) -> None:
    stream.codec_context.colorspace = 1


# Truth: RGB numbers by hand. The wrong matrix moves this red and blue by 5 to 20 levels.
@pytest.mark.parametrize("is_tagged", [True, False])
def test_colours_follow_the_matrix_of_the_source(tmp_path: Path, is_tagged: bool) -> None:
    source = write_clip(
        tmp_path / "in.mp4",
        frames=2,
        prepare=_tag_709 if is_tagged else lambda stream: None,
        dst_colorspace="ITU709" if is_tagged else "ITU601",
    )
    paint_all(source, tmp_path / "out.mp4")
    after = read_clip(tmp_path / "out.mp4")
    assert after.stream["matrix"] == (1 if is_tagged else 6)
    assert_same_colours(after.frames[1], 255 - pattern(1))


def test_hdr_is_painted_aloud(tmp_path: Path) -> None:
    def tag(stream: Any) -> None:
        stream.codec_context.color_trc = 16  # SMPTE 2084, by FFmpeg's numbers

    source = write_clip(tmp_path / "in.mp4", frames=2, prepare=tag)
    records = paint_all(source, tmp_path / "out.mp4")
    assert "HDR (PQ) is painted without tone mapping" in records[0].notes[0]


def test_untagged_high_definition_is_taken_as_players_take_it(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", frames=1, size=(64, 720), dst_colorspace="ITU709")
    paint_all(source, tmp_path / "out.mp4")
    after = read_clip(tmp_path / "out.mp4")
    assert after.stream["matrix"] == 1
    assert_same_colours(after.frames[0], 255 - pattern(0, 64, 720))


def test_full_range_pictures_keep_black_and_white(tmp_path: Path) -> None:
    source = write_clip(
        tmp_path / "in.mkv", frames=3, codec="mjpeg", pixels="yuvj420p", dst_color_range="JPEG"
    )
    paint_all(source, tmp_path / "out.mp4")
    assert_same_colours(read_clip(tmp_path / "out.mp4").frames[1], 255 - pattern(1))


def test_the_painted_size_may_differ(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", frames=3)
    list(stylize_video(lambda f: f[::2, ::2], source, tmp_path / "out.mp4"))
    frames = read_clip(tmp_path / "out.mp4").frames
    assert_alike(frames, [pattern(i)[::2, ::2] for i in range(3)])


def test_an_animated_gif_becomes_a_video(tmp_path: Path) -> None:
    from PIL import Image

    pictures = [Image.fromarray(pattern(i)) for i in range(4)]
    source = tmp_path / "in.gif"
    pictures[0].save(source, save_all=True, append_images=pictures[1:], duration=[50, 50, 200, 50])
    paint_all(source, tmp_path / "out.mp4")
    after = read_clip(tmp_path / "out.mp4")
    assert after.times == [Fraction(t, 100) for t in (0, 5, 10, 30)]  # by hand
    assert_alike(after.frames, [255 - pattern(i) for i in range(4)])


def test_an_animated_avif_becomes_a_video_of_all_its_frames(tmp_path: Path) -> None:
    """It begins with a still picture of its own, which is not what moves."""
    from PIL import Image, features

    if not features.check("avif"):
        pytest.skip("this Pillow writes no AVIF")
    pictures = [Image.fromarray(pattern(i)) for i in range(8)]
    source = tmp_path / "in.avif"
    pictures[0].save(source, save_all=True, append_images=pictures[1:], duration=100)
    records = paint_all(source, tmp_path / "out.mp4")
    assert {record.total_frames for record in records} == {8}
    assert [note for record in records for note in record.notes] == []
    after = read_clip(tmp_path / "out.mp4")
    assert after.times == [Fraction(i, 10) for i in range(8)]  # by hand
    assert len(after.frames) == 8


def test_frames_that_are_too_large_are_not_decoded(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", frames=2)
    words = r"in\.mp4 has frames of 64x48 = 0\.0 million pixels, .*--max-pixels$"
    with pytest.raises(PixelLimitError, match=words):
        stylize_video(negative, source, tmp_path / "out.mp4", max_pixels=64 * 48 - 1)
    assert len(list(stylize_video(negative, source, tmp_path / "o.mp4", max_pixels=64 * 48))) == 3


def test_less_quality_is_fewer_bytes(tmp_path: Path) -> None:
    """By hand: 95, the default of pictures too, is H.264's 18; by invariant the rest."""
    assert [round(rate_factor(quality)) for quality in (1, 90, 95, 100)] == [51, 23, 18, 1]
    source, sizes = write_clip(tmp_path / "in.mp4"), []
    for quality in (10, 60, 95, 100):
        target = tmp_path / f"{quality}.mp4"
        paint_all(source, target, quality=quality)
        sizes.append(target.stat().st_size)
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]
    with pytest.raises(UsageError, match="--quality must be from 1 to 100, got 0"):
        paint_all(source, tmp_path / "out.mp4", quality=0)


def _windows_media(path: Path, sound: str) -> Path:
    """Write half a second as an ASF file, with a tone in Windows Media or MP3 sound."""
    with av.open(str(path), "w", format="asf") as out:
        stream: Any = out.add_stream("wmv2", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        tone: Any = out.add_stream(sound, rate=44100)
        tone.layout, tone.bit_rate = "stereo", 64000
        for i in range(13):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pattern(i), format="rgb24")))
        out.mux(stream.encode(None))
        out.start_encoding()
        step = tone.codec_context.frame_size
        for start in range(0, 22050, step):
            wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(start, start + step) / 44100)
            samples: Any = np.stack([wave, wave]).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = 44100, start, Fraction(1, 44100)
            out.mux(tone.encode(frame))
        out.mux(tone.encode(None))
    return path


def _loudness(path: Path) -> list[float]:
    """Seconds of sound in a file, and the root mean square of its samples."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=48000)
        frames = [f for d in container.decode(audio=0) for f in resampler.resample(d)]
        wave = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    return [len(wave) / 48000, float(np.sqrt(np.mean(wave**2)))]


def test_sound_that_fits_is_copied_into_our_own_choice(tmp_path: Path) -> None:
    source = _windows_media(tmp_path / "in.wmv", "libmp3lame")
    assert output_suffix(source) == ".mp4"
    records = paint_all(source, tmp_path / "out.mp4")
    assert [note for record in records for note in record.notes] == []
    assert len(read_clip(source).sound) > 3
    assert read_clip(tmp_path / "out.mp4").sound == read_clip(source).sound


def test_a_sound_that_only_matroska_holds_decides_our_own_choice(tmp_path: Path) -> None:
    """Samples of 8 bits: an .mp4 refuses them, an .mkv copies them."""
    source = write_clip(tmp_path / "in.avi", frames=3, codec="mpeg4", sound="pcm_u8")
    assert output_suffix(source) == ".mkv"
    with pytest.raises(MediaError, match=r"\.mp4 file cannot hold .*pcm_u8.*write a \.mkv"):
        paint_all(source, tmp_path / "out.mp4")
    paint_all(source, tmp_path / "out.mkv")
    assert b"".join(read_clip(tmp_path / "out.mkv").sound) == b"".join(read_clip(source).sound)


@pytest.mark.parametrize("suffix", list(FORMATS))
def test_a_sound_that_nothing_holds_is_encoded_again_aloud(tmp_path: Path, suffix: str) -> None:
    """Windows Media, in every container: as long as before, as loud as before."""
    source = _windows_media(tmp_path / "in.wmv", "wmav2")
    assert output_suffix(source) == ".mp4"
    target = tmp_path / f"out{suffix}"
    records = paint_all(source, target)
    (note,) = [note for record in records for note in record.notes]
    codec = "opus" if suffix == ".webm" else "aac"
    assert f"in.wmv: its sound (wmav2) is encoded again, as {codec} in stereo, because" in note
    before, after = _loudness(source), _loudness(target)
    assert after == pytest.approx(before, rel=0.1)
    assert records[-1].frame == 13


def test_a_suffix_that_is_written_is_kept(tmp_path: Path) -> None:
    """And a file that cannot be read is not an error yet: it is one when its turn comes."""
    assert output_suffix(Path("a.MOV")) == ".MOV"
    (tmp_path / "bad.avi").write_bytes(bytes(100))
    assert output_suffix(tmp_path / "bad.avi") == ".mp4"


def _replace_packet(source: Path, target: Path, number: int) -> None:
    """Copy a clip, the content of one packet of its pictures replaced by rubbish."""
    with av.open(str(source)) as container, av.open(str(target), "w") as out:
        stream = out.add_stream_from_template(container.streams.video[0], opaque=True)
        for i, packet in enumerate(container.demux(container.streams.video[0])):
            if packet.dts is None:
                continue
            copy: Any = av.Packet(b"rubbish" * 20 if i == number else bytes(packet))
            copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
            copy.is_keyframe, copy.stream = packet.is_keyframe, stream
            out.mux(copy)


def test_damaged_packets_are_left_out_and_counted(tmp_path: Path) -> None:
    good = write_clip(tmp_path / "good.mkv", frames=8, codec="mjpeg", pixels="yuvj420p", sound=None)
    _replace_packet(good, tmp_path / "in.mkv", 3)
    records = paint_all(tmp_path / "in.mkv", tmp_path / "out.mp4")
    assert records[-1].notes == (f"{tmp_path / 'in.mkv'}: 1 damaged parts left out",)
    after = read_clip(tmp_path / "out.mp4")
    kept = [0, 1, 2, 4, 5, 6, 7]
    assert after.times == [Fraction(i, RATE) for i in kept]
    assert_alike(after.frames, [255 - pattern(i) for i in kept])


@pytest.mark.parametrize("sound", [None, "aac"])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_whole_clip_that_starts_late_is_whole(
    tmp_path: Path, suffix: str, sound: str | None
) -> None:
    """By hand: twenty frames from 1 s on; Matroska states only when its last stream ends."""
    stamps = [1000 + i * 1000 // RATE for i in range(20)]
    source = write_clip(tmp_path / f"in{suffix}", stamps=stamps, sound=sound)
    records = paint_all(source, tmp_path / f"out{suffix}")
    assert [note for record in records for note in record.notes] == []
    assert {record.total_frames for record in records} == {20}
    assert records[-1].frame == 20


def test_sound_that_goes_on_after_the_pictures_is_no_damage(tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    with av.open(str(source), "w") as out:
        stream: Any = out.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        tone = _add_tone(out, "aac")
        for i in range(5):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pattern(i), format="rgb24")))
        out.mux(stream.encode(None))
        _write_tone(out, tone, seconds=3.0)
    records = paint_all(source, tmp_path / "out.mkv")
    assert [note for record in records for note in record.notes] == []


def test_a_clip_cut_short_is_painted_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mkv", frames=50, codec="mjpeg", pixels="yuvj420p")
    data = whole.read_bytes()
    (tmp_path / "in.mkv").write_bytes(data[: len(data) // 2])
    records = paint_all(tmp_path / "in.mkv", tmp_path / "out.mp4")
    assert 10 < records[-1].frame < 50
    assert any("may be cut short" in note for record in records for note in record.notes)
    assert len(read_clip(tmp_path / "out.mp4").frames) == records[-1].frame


def _bad_file(folder: Path, kind: str) -> Path:
    path = folder / "in.mp4"
    if kind == "text":
        path.write_text("no video at all\n" * 50)
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "cut":
        data = write_clip(path).read_bytes()
        path.write_bytes(data[: len(data) // 2])
    elif kind == "folder":
        path.mkdir()
    elif kind == "sound":
        with av.open(str(path), "w") as out:
            _write_tone(out, _add_tone(out, "aac"), seconds=0.2)
    elif kind == "rubbish":
        good = write_clip(folder / "good.mkv", frames=1, codec="mjpeg", pixels="yuvj420p")
        path = folder / "in.mkv"
        _replace_packet(good, path, 0)
    return path


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "no such file"),
        ("text", "damaged or no video"),
        ("empty", "damaged or no video|empty"),
        ("cut", "damaged or no video"),
        ("folder", "directory"),
        ("sound", "no video stream"),
        ("rubbish", "no frame could be decoded"),
    ],
)
def test_a_bad_file_is_named_in_one_line(tmp_path: Path, kind: str, words: str) -> None:
    source = _bad_file(tmp_path, kind)
    with pytest.raises(MediaError, match=words) as caught:
        paint_all(source, tmp_path / "out.mp4")
    assert source.name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.mp4").exists()
    assert leftovers(tmp_path) == []


def test_a_playlist_under_the_name_of_a_video_reaches_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        text = f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{address}\n"
        (tmp_path / "in.m3u8").write_text(text)
        with pytest.raises(MediaError, match="none of those read here"):
            paint_all(tmp_path / "in.m3u8", tmp_path / "out.mp4")
        with pytest.raises(BlockingIOError):
            server.accept()  # nobody called


def test_sound_that_the_container_cannot_hold_is_refused(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", frames=3)
    with pytest.raises(MediaError, match=r"\.webm file cannot hold the sound.*aac.*\.mkv"):
        paint_all(source, tmp_path / "out.webm")
    assert leftovers(tmp_path) == []


def test_further_streams_are_left_out_aloud(tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    with av.open(str(source), "w") as out:
        streams: list[Any] = [out.add_stream("mpeg4", rate=RATE) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height = WIDTH, HEIGHT
        for i in range(3):
            for stream in streams:
                frame = av.VideoFrame.from_ndarray(pattern(i), format="rgb24")
                out.mux(stream.encode(frame))
        for stream in streams:
            out.mux(stream.encode(None))
    records = paint_all(source, tmp_path / "out.mkv")
    assert "1 more video" in records[0].notes[0]


def _with_codec(source: Path, target: Path, name: bytes, other: bytes) -> Path:
    """Copy a Matroska file with another name for a codec."""
    assert len(name) == len(other)
    data = source.read_bytes()
    assert name in data
    target.write_bytes(data.replace(name, other))
    return target


def test_sound_of_an_unknown_kind_is_left_out_aloud(tmp_path: Path) -> None:
    good = write_clip(tmp_path / "good.mkv", frames=3)
    source = _with_codec(good, tmp_path / "in.mkv", b"A_AAC", b"A_QQQ")
    records = paint_all(source, tmp_path / "out.mp4")
    assert "1 sound stream(s) of unknown kind" in records[0].notes[0]
    assert read_clip(tmp_path / "out.mp4").sound == []


def test_pictures_of_an_unknown_kind_are_refused(tmp_path: Path) -> None:
    good = write_clip(tmp_path / "good.mkv", frames=3)
    source = _with_codec(good, tmp_path / "in.mkv", b"V_MPEG4/ISO/AVC", b"V_QQQQQ/QQQ/QQQ")
    with pytest.raises(MediaError, match="no decoder"):
        paint_all(source, tmp_path / "out.mp4")


def test_a_name_may_be_as_long_as_names_are(tmp_path: Path) -> None:
    """By hand: 250 of the 255 bytes that file systems allow; the temporary name is short."""
    source = write_clip(tmp_path / "in.mp4", frames=2)
    target = tmp_path / f"{'x' * 246}.mp4"
    paint_all(source, target)
    assert len(read_clip(target).frames) == 2


def test_an_existing_target_is_kept_unless_told(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", frames=2)
    target = tmp_path / "out.mp4"
    target.write_text("mine")
    with pytest.raises(OutputError, match="exists"):
        stylize_video(negative, source, target)  # before the first frame is asked for
    assert target.read_text() == "mine"
    paint_all(source, target, overwrite=True)
    assert len(read_clip(target).frames) == 2


@pytest.mark.parametrize("name", ["out.bmp", "out.avi", "out"])
def test_an_unknown_suffix_lists_the_known(tmp_path: Path, name: str) -> None:
    source = write_clip(tmp_path / "in.mp4", frames=2)
    with pytest.raises(UsageError, match=", ".join(FORMATS)):
        stylize_video(negative, source, tmp_path / name)


def stopped_by(number: signal.Signals, frame: int) -> Callable[[Array], Array]:
    """A painter during whose work on one frame, counted from 1, a signal comes."""
    calls = iter(range(1, 1000))

    def paint(picture: Array) -> Array:
        if next(calls) == frame:
            signal.raise_signal(number)
        return 255 - picture

    return paint


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_the_part_that_is_painted(tmp_path: Path, number: signal.Signals) -> None:
    """Under a name of its own; the file that stands there, and may be replaced, stays."""
    source, target, said = write_clip(tmp_path / "in.mp4"), tmp_path / "out.mp4", list[str]()
    target.write_text("complete")
    paint, records = stopped_by(number, 8), list[VideoRecord]()
    with pytest.raises(KeyboardInterrupt), ends_as_ctrl_c():
        records.extend(stylize_video(paint, source, target, overwrite=True, announce=said.append))
    assert records[-1].frame == 7
    part = tmp_path / "out.partial.mp4"
    assert said == [f"{source}: stopped after 7 of 20 frames; {part} holds them and plays"]
    after = read_clip(part)
    assert_alike(after.frames, [255 - pattern(i) for i in range(7)])
    assert after.sound
    assert target.read_text() == "complete"
    assert leftovers(tmp_path) == []


def test_a_second_part_replaces_no_first(tmp_path: Path) -> None:
    source, said = write_clip(tmp_path / "in.mp4"), list[str]()
    for frame in (4, 6, 8):
        records = stylize_video(
            *(stopped_by(signal.SIGINT, frame), source, tmp_path / "out.mp4"),
            overwrite=frame == 8,
            announce=said.append,
        )
        with pytest.raises(KeyboardInterrupt):
            list(records)
    names = ["out.partial.mp4", "out.partial-2.mp4", "out.partial.mp4"]
    assert [line.partition("; ")[2] for line in said] == [
        f"{tmp_path / name} holds them and plays" for name in names
    ]
    assert len(read_clip(tmp_path / "out.partial.mp4").frames) == 7
    assert len(read_clip(tmp_path / "out.partial-2.mp4").frames) == 5
    assert not (tmp_path / "out.mp4").exists()


def test_ctrl_c_before_the_first_frame_leaves_nothing(tmp_path: Path) -> None:
    source, said = write_clip(tmp_path / "in.mp4", frames=2), list[str]()
    paint = stopped_by(signal.SIGINT, 1)
    with pytest.raises(KeyboardInterrupt):
        list(stylize_video(paint, source, tmp_path / "out.mp4", announce=said.append))
    assert said == [f"{source}: stopped before the first frame, nothing is written"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4"]


def test_ctrl_c_in_the_last_step_leaves_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes while the file gets its name, and is held back until it has it."""
    source, said = write_clip(tmp_path / "in.mp4", frames=3), list[str]()
    sync = os.fsync

    def slow(descriptor: int) -> None:
        signal.raise_signal(signal.SIGINT)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    with pytest.raises(KeyboardInterrupt):
        list(stylize_video(negative, source, tmp_path / "out.mp4", announce=said.append))
    target = tmp_path / "out.mp4"
    assert said == [f"{source}: stopped when all of it was painted, {target} is complete"]
    assert len(read_clip(target).frames) == 3
    assert leftovers(tmp_path) == []


def test_leaving_the_loop_keeps_the_part_that_is_painted(tmp_path: Path) -> None:
    """As Ctrl-C does that comes while the caller works; it is told what became of the film."""
    source, said = write_clip(tmp_path / "in.mp4"), list[str]()
    records = stylize_video(negative, source, tmp_path / "out.mp4", announce=said.append)
    with closing(records):
        for record in records:
            if record.frame == 5:
                break
    part = tmp_path / "out.partial.mp4"
    assert said == [f"{source}: stopped after 5 of 20 frames; {part} holds them and plays"]
    assert len(read_clip(part).frames) == 5
    assert not (tmp_path / "out.mp4").exists()


def test_reading_painting_and_writing_go_on_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The painter holds a frame until a later one is decoded, and until an earlier is written."""
    source, decoded, written = write_clip(tmp_path / "in.mp4"), Count(), Count()
    convert, add = VideoReader._convert, VideoWriter.add

    def convert_and_count(reader: VideoReader, picture: Any) -> Any:
        decoded.add()
        return convert(reader, picture)

    def add_and_count(writer: VideoWriter, *args: Any) -> None:
        add(writer, *args)
        written.add()

    def paint(frame: Array) -> Array:
        number = next(numbers)
        decoded.wait_for(min(number + 1, 20))
        written.wait_for(number - 1)
        return 255 - frame

    numbers = iter(range(1, 21))
    monkeypatch.setattr(VideoReader, "_convert", convert_and_count)
    monkeypatch.setattr(VideoWriter, "add", add_and_count)
    records = list(stylize_video(paint, source, tmp_path / "out.mp4"))
    assert written.count == 20
    assert all(record.times is None for record in records[:-1])
    times = records[-1].times
    assert times is not None
    assert 0 < times.paint_s < times.total_s
    assert min(times.decode_s, times.encode_s, times.waiting_s) > 0
    names = {thread.name for thread in threading.enumerate()}
    assert not names & {"read ahead", "write behind"}


class Count:
    """A number that threads wait for."""

    def __init__(self) -> None:
        self.count = 0
        self._changed = threading.Condition()

    def add(self) -> None:
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.count >= count, timeout=10), "no overlap"


@pytest.mark.parametrize("how", ["stopped", "broken", "left"])
def test_no_thread_is_left(tmp_path: Path, how: str) -> None:
    source = write_clip(tmp_path / "in.mp4")
    calls = iter(range(20))

    def paint(frame: Array) -> Array:
        if next(calls) == 4 and how != "left":
            raise {"stopped": KeyboardInterrupt, "broken": RuntimeError}[how]
        return frame

    def run() -> None:
        with closing(stylize_video(paint, source, tmp_path / "out.mp4")) as records:
            for record in records:
                if record.frame == 6:
                    return

    with pytest.raises((KeyboardInterrupt, RuntimeError)) if how != "left" else nullcontext():
        run()
    names = {thread.name for thread in threading.enumerate()}
    assert not names & {"read ahead", "write behind"}
    assert leftovers(tmp_path) == []


def test_an_error_of_the_painter_leaves_nothing(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4")
    calls = iter(range(20))

    def paint(frame: Array) -> Array:
        if next(calls) == 6:
            raise RuntimeError("broken")
        return frame

    with pytest.raises(RuntimeError, match="broken"):
        list(stylize_video(paint, source, tmp_path / "out.mp4"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs the limit of a file's size")
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    # A file that may not grow beyond 8 kB fails as a full disk does, in the middle of the writing.
    source = write_clip(tmp_path / "in.mp4", frames=50, size=(128, 96))
    program = f"""
import resource, signal
import numpy as np
from pathlib import Path
from infer.video import stylize_video
from nst.errors import OutputError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
draw = np.random.default_rng(0)
paint = lambda frame: draw.integers(0, 256, frame.shape, dtype=np.uint8)
try:
    list(stylize_video(paint, Path({str(source)!r}), Path({str(tmp_path / "out.mkv")!r})))
except OutputError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "out.mkv: cannot be written, the file would be larger than allowed" in done.stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4"]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder nobody can write")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", frames=2)
    with pytest.raises(OutputError, match=r"out\.mp4: cannot be written"):
        paint_all(source, Path("/proc/out.mp4"))


def test_a_reader_knows_what_the_file_says(tmp_path: Path) -> None:
    with closing(VideoReader(write_clip(tmp_path / "in.mp4"))) as reader:
        info = reader.info
    assert (info.width, info.height, info.frames) == (WIDTH, HEIGHT, 20)
    assert info.rate == RATE
    assert info.duration_s == pytest.approx(0.8)
    assert info.sound == ("aac",)


def test_without_pyav_the_package_is_named(tmp_path: Path, monkeypatch: Any) -> None:
    source = write_clip(tmp_path / "in.mp4", frames=1)
    real = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name == "av":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MediaError, match="pip install av"):
        stylize_video(negative, source, tmp_path / "out.mp4")


def imported_names(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


def test_video_never_imports_opencv(tmp_path: Path) -> None:
    # PyAV and OpenCV in one process can freeze it (opencv/opencv#21952).
    folder = Path(infer.__file__).parent
    for name in (
        "video.py",
        "video_reader.py",
        "video_writer.py",
        "video_color.py",
        "video_format.py",
        "video_source.py",
        "video_codec.py",
        "video_pictures.py",
        "video_sound.py",
        "video_part.py",
        "animation_reader.py",
        "animation_end.py",
        "frames.py",
        "pipeline.py",
        "display_matrix.py",
    ):
        names = imported_names(folder / name)
        assert not names & {"cv2", "infer.camera", "infer.window", "infer.webcam"}, name
    source = write_clip(tmp_path / "in.mp4", frames=2)
    program = f"""
import sys
from pathlib import Path
from infer.video import stylize_video
assert "av" not in sys.modules, "imported before it is needed"
list(stylize_video(lambda f: f, Path({str(source)!r}), Path({str(tmp_path / "out.mp4")!r})))
assert "av" in sys.modules
assert "cv2" not in sys.modules and "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
