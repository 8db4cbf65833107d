"""Animated GIF, PNG, WebP and AVIF files in and out. Truth: Pillow, on both sides."""

from __future__ import annotations

import signal
from contextlib import closing
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from infer.animation_reader import AnimationReader
from infer.frames import Frame, cut_of
from infer.video import VideoRecord, stylize_video
from nst.animation import Animation
from nst.errors import ImageError, MediaError, PixelLimitError
from nst.interrupt import ends_as_ctrl_c

Array = NDArray[np.uint8]
WIDTH, HEIGHT = 32, 24
DURATIONS_MS = [50, 120, 200, 30]


def picture(i: int) -> Array:
    """Frame i, RGBA: quarters of plain colours, a hole that moves, in few colours."""
    rgba = np.full((HEIGHT, WIDTH, 4), 255, np.uint8)
    rgba[: HEIGHT // 2, :, :3] = (40 + 30 * i, 90, 200)
    rgba[HEIGHT // 2 :, :, :3] = (250, 40 * i, 20)
    rgba[4:10, 4 + 3 * i : 10 + 3 * i, 3] = 0
    return rgba


def save(path: Path, *, is_opaque: bool = False, **options: Any) -> Path:
    arrays = [picture(i)[..., :3] if is_opaque else picture(i) for i in range(len(DURATIONS_MS))]
    images = [Image.fromarray(array) for array in arrays]
    settings: dict[str, Any] = {"duration": DURATIONS_MS, "disposal": 2} | options
    if path.suffix == ".webp":
        settings |= {"lossless": True}
    if path.suffix != ".gif":
        settings.pop("disposal")
    images[0].save(path, save_all=True, append_images=images[1:], **settings)
    return path


def load(path: Path) -> tuple[list[Array], list[float], Any]:
    """Frames, durations in ms, and what the file says of its loop; by Pillow alone."""
    frames, durations = [], []
    with Image.open(path) as image:
        loop = image.info.get("loop")
        for i in range(getattr(image, "n_frames", 1)):
            image.seek(i)
            frames.append(np.asarray(image.convert("RGBA")))
            durations.append(float(image.info["duration"]))
    return frames, durations, loop


def negative(rgb: Array) -> Array:
    return 255 - rgb


def paint(source: Path, target: Path, **options: Any) -> list[VideoRecord]:
    return list(stylize_video(negative, source, target, **options))


def notes(records: list[VideoRecord]) -> list[str]:
    return [note for record in records for note in record.notes]


@pytest.mark.parametrize("before", [".gif", ".png", ".webp"])
@pytest.mark.parametrize("after", [".gif", ".png", ".apng", ".webp"])
def test_frames_durations_and_transparency_go_from_each_to_each(
    tmp_path: Path, before: str, after: str
) -> None:
    """By hand: the same number of frames, each as long as before, the holes where they were."""
    source, target = save(tmp_path / f"in{before}"), tmp_path / f"out{after}"
    records = paint(source, target)
    frames, durations, _ = load(target)
    assert notes(records) == []
    assert [r.total_frames for r in records] == [4] * 5
    assert durations == DURATIONS_MS
    for i, frame in enumerate(frames):
        expected = picture(i)
        is_seen = expected[..., 3] == 255
        assert np.array_equal(frame[..., 3], expected[..., 3])
        error = np.abs(frame[..., :3].astype(int) - (255 - expected[..., :3]))[is_seen]
        assert error.mean() < (6 if after == ".webp" else 1)  # WebP halves the chroma
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


# Truth: a GIF states how often it is repeated, the others how often it is played; 0 is for ever.
@pytest.mark.parametrize(
    ("before", "loop", "after", "expected"),
    [
        (".gif", None, ".gif", None),
        (".gif", 0, ".gif", 0),
        (".gif", 3, ".gif", 3),
        (".gif", 3, ".webp", 4),
        (".gif", None, ".png", 1),
        (".png", 1, ".gif", None),
        (".png", 5, ".png", 5),
        (".webp", 0, ".png", 0),
        (".webp", 2, ".webp", 2),
        (".webp", 2, ".gif", 1),
    ],
)
def test_it_is_played_as_often_as_before(
    tmp_path: Path, before: str, loop: int | None, after: str, expected: int | None
) -> None:
    options: dict[str, Any] = {} if loop is None else {"loop": loop}
    source = save(tmp_path / f"in{before}", **options)
    paint(source, tmp_path / f"out{after}")
    assert load(tmp_path / f"out{after}")[2] == expected


def test_a_webp_becomes_a_film(tmp_path: Path) -> None:
    source = save(tmp_path / "in.webp", is_opaque=True)
    records = paint(source, tmp_path / "out.mp4")
    assert notes(records) == []
    with av.open(str(tmp_path / "out.mp4")) as container:
        frames = list(container.decode(video=0))
    assert [frame.time for frame in frames] == pytest.approx([0, 0.05, 0.17, 0.37])


def test_a_film_has_no_transparency_and_says_so(tmp_path: Path) -> None:
    records = paint(save(tmp_path / "in.png"), tmp_path / "out.mp4")
    assert [note.partition(": ")[2] for note in notes(records)] == [
        "transparency is not carried over into a film"
    ]


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_a_film_becomes_an_animation_that_goes_on_for_ever(tmp_path: Path, suffix: str) -> None:
    """By hand: eight frames of 1/30 s; no format is exact, and none drifts. Sound is left out."""
    source, target = tmp_path / "in.mp4", tmp_path / f"out{suffix}"
    with av.open(str(source), "w") as out:
        stream: Any = out.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        tone: Any = out.add_stream("aac", rate=48000)
        tone.layout = "mono"
        for i in range(8):
            rgb = np.full((HEIGHT, WIDTH, 3), 30 * i, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        out.mux(stream.encode(None))
        silence: Any = np.zeros((1, 1024), np.float32)
        samples = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
        samples.sample_rate = 48000
        out.mux(tone.encode(samples))
        out.mux(tone.encode(None))
    records = paint(source, target)
    frames, durations, loop = load(target)
    assert [frame[..., :3].mean() for frame in frames] == pytest.approx(
        [255 - 30 * i for i in range(8)], abs=4
    )
    assert loop == 0
    unit_ms = 10 if suffix == ".gif" else 1
    ends = np.cumsum(durations)
    np.testing.assert_allclose(ends, [(i + 1) * 1000 / 30 for i in range(8)], atol=unit_ms)
    assert notes(records) == [f"{target}: the sound is left out, a {suffix} file holds none"]


def test_pictures_that_are_too_short_for_a_gif_are_said(tmp_path: Path) -> None:
    source = save(tmp_path / "in.png", duration=[15, 15, 15, 15])
    records = paint(source, tmp_path / "out.gif")
    assert any("less than 20 ms" in note for note in notes(records))
    assert len(load(tmp_path / "out.gif")[0]) == 4
    assert notes(paint(source, tmp_path / "out.webp")) == []


def test_a_picture_without_a_duration_is_shown_as_browsers_show_it(tmp_path: Path) -> None:
    source = save(tmp_path / "in.png", duration=0)
    with closing(AnimationReader(source)) as reader:
        assert [item.duration for item in reader if isinstance(item, Frame)] == [100] * 4


def test_a_still_picture_before_the_animation_is_not_part_of_it(tmp_path: Path) -> None:
    """What a program shows that cannot animate a PNG."""
    source = save(tmp_path / "in.png", default_image=True, duration=DURATIONS_MS[1:])
    paint(source, tmp_path / "out.png")
    frames, durations, _ = load(tmp_path / "out.png")
    assert len(frames) == 3
    assert durations == DURATIONS_MS[1:]
    assert np.array_equal(frames[0][..., 3], picture(1)[..., 3])


def test_a_part_of_an_animation(tmp_path: Path) -> None:
    """By hand: 50, 120, 200, 30 ms; from 0.1 to 0.3 s the second for 70 and the third for 130."""
    source = save(tmp_path / "in.gif")
    records = paint(source, tmp_path / "out.png", cut=cut_of("0.1", "0.2"))
    frames, durations, _ = load(tmp_path / "out.png")
    assert durations == [70, 130]
    assert np.array_equal(frames[1][..., 3], picture(2)[..., 3])
    assert records[-1].frame == 2
    with pytest.raises(MediaError, match=r"in\.gif: --start 0\.5 s is after its end at 0\.4 s"):
        paint(source, tmp_path / "x.png", cut=cut_of("0.5", None))


def test_hidden_pixels_take_the_colour_of_what_is_seen(tmp_path: Path) -> None:
    """A network would see whatever lies under a hole."""
    rgba = picture(0)
    rgba[rgba[..., 3] == 0] = (255, 0, 255, 0)
    images = [Image.fromarray(rgba), Image.fromarray(picture(1))]
    images[0].save(tmp_path / "in.png", save_all=True, append_images=images[1:], duration=50)
    with closing(Animation(tmp_path / "in.png")) as animation:
        moment = next(iter(animation))
    is_seen = rgba[..., 3] == 255
    mean = np.rint(rgba[is_seen][:, :3].mean(axis=0))
    assert (moment.rgb[~is_seen] == mean).all()


def test_the_transparency_takes_the_painted_size(tmp_path: Path) -> None:
    source = save(tmp_path / "in.png")
    list(stylize_video(lambda rgb: rgb[::2, ::2], source, tmp_path / "out.png"))
    frames, _, _ = load(tmp_path / "out.png")
    assert frames[0].shape == (HEIGHT // 2, WIDTH // 2, 4)
    assert frames[0][3, 3, 3] < 128 < frames[0][10, 10, 3]


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_what_is_cut_off_is_painted_as_far_as_it_goes(tmp_path: Path, suffix: str) -> None:
    """Or it is refused in one line, where a decoder wants all of the file."""
    draw = np.random.default_rng(0)
    images = [Image.fromarray(draw.integers(0, 256, (40, 40, 3), dtype=np.uint8)) for _ in range(6)]
    whole, source = tmp_path / f"whole{suffix}", tmp_path / f"in{suffix}"
    images[0].save(whole, save_all=True, append_images=images[1:], duration=50)
    data = whole.read_bytes()
    source.write_bytes(data[: len(data) * 7 // 10])
    refusal: ImageError | None = None
    try:
        records = paint(source, tmp_path / "out.mp4")
    except (ImageError, MediaError) as error:
        refusal = error if isinstance(error, ImageError) else ImageError(str(error))
    if refusal is not None:
        assert str(source) in str(refusal)
        assert "\n" not in str(refusal)
        return
    assert 2 <= records[-1].frame <= 5
    assert any("reading stopped after" in note for note in notes(records))


def test_frames_that_are_too_large_are_not_decoded(tmp_path: Path) -> None:
    source = save(tmp_path / "in.webp")
    with pytest.raises(PixelLimitError, match=r"in\.webp has frames of 32x24 .*--max-pixels$"):
        paint(source, tmp_path / "out.mp4", max_pixels=WIDTH * HEIGHT - 1)


def test_a_still_picture_is_no_animation(tmp_path: Path) -> None:
    Image.fromarray(picture(0)).save(tmp_path / "in.png")
    with pytest.raises(ImageError, match=r"in\.png is a still picture"):
        Animation(tmp_path / "in.png")


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_a_part_that_was_painted_is_an_animation_too(tmp_path: Path, suffix: str) -> None:
    source, calls, said = save(tmp_path / "in.gif"), iter(range(9)), list[str]()

    def stopped(rgb: Array) -> Array:
        if next(calls) == 2:
            signal.raise_signal(signal.SIGTERM)
        return 255 - rgb

    target = tmp_path / f"out{suffix}"
    with pytest.raises(KeyboardInterrupt), ends_as_ctrl_c():
        list(stylize_video(stopped, source, target, announce=said.append))
    part = tmp_path / f"out.partial{suffix}"
    assert said == [f"{source}: stopped after 2 of 4 frames; {part} holds them and plays"]
    frames, durations, _ = load(part)
    assert len(frames) == 2
    assert durations == DURATIONS_MS[:2]


def test_quality_is_that_of_webp(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    noise = draw.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    source, sizes = save(tmp_path / "in.gif"), []
    for quality in (10, 95):
        target = tmp_path / f"{quality}.webp"
        list(stylize_video(lambda _: noise, source, target, quality=quality))
        sizes.append(target.stat().st_size)
    assert sizes[0] < sizes[1]
