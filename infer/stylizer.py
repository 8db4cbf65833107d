"""A photograph in, a painted picture out: the three-line interface of a style model.

paint = Stylizer("starry.onnx")
paint("photo.jpg").save("painted.png")
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, get_args

import numpy as np
from numpy.typing import NDArray

from infer.mixture import mixture_of, original_share
from infer.model_file import ModelFile
from infer.painter import Job, Painter
from infer.session import Session, open_session
from nst.color import blend, with_matched_colors, with_original_colors
from nst.contract import ModelInfo
from nst.enlarge import restored
from nst.errors import ImageError, PixelLimitError, UsageError
from nst.image import MAX_PIXELS, Picture, load_image, resize_image
from nst.settings import LEAST_BRUSH, MOST_BRUSH, MOST_TEXTURE, ColorTransfer, Provider

AUTO = "auto"
"""In place of a style: the one that suits."""

if TYPE_CHECKING:
    from infer.suggest import Adviser

Source = str | Path | bytes | Picture | NDArray[np.uint8]
"""What can be painted: a file, its content, a picture already read, or uint8 RGB (H, W, 3)."""


class Stylizer:
    """A style model that paints pictures.

    Args:
        model: The ONNX file of a style, its content, or as a string a name of ``nst models list``;
            or what ``infer.model_file.read_model`` made of one of them.
        provider: Where it runs; ``auto`` takes the best there is. ``paint.session`` knows what was
            asked for and what was obtained.
        threads: Of a run on the CPU; 0 leaves it to ONNX Runtime, which takes one for each core.
        size: Long side that the network sees, px. A larger photograph is reduced to it, a smaller
            one never enlarged; None paints every photograph at its own size.
        brush: Width of the strokes in proportion to the picture: 1 is that of a picture of ``size``
            px. With it every photograph, small or large, is painted at a long side of size / brush
            and brought to its own size, so that strokes do not depend on the resolution. None
            paints as ``size`` says.
        restore_size: Whether a picture that was reduced is brought back to its own size.
        original_colors: Whether the photograph keeps its colours and takes the brush strokes only.
        color_transfer: How: ``luminance``, its colour at every place, or ``statistics``, mean and
            covariance of its colours.
        strength: Share of the painting in the result, 0 (the photograph) to 1 (the painting). A
            model with controls was trained for it and paints more lightly; of others the painting
            and the photograph are mixed.
        style: Of a model of several styles which one, or a mix: ``wave:0.7,scream:0.3``; or
            ``auto``, the one that suits the first photograph best; ``choose`` takes another.
        gradient: Styles from the left edge to the right one: ``wave,scream``.
        regions: Mask files, white where a style shall be, and the style or mix that is painted
            there; ``original`` keeps the photograph. Later ones lie on top.
        texture: What the noise is multiplied by, of a model that has noise: 0 (none) to 3.
        max_pixels: The largest photograph that is decoded, width times height.
        tile: ``auto``, in tiles with the same result where the whole does not fit into memory;
            ``off``, never; or the side of the tiles, px.
        announce: Told, in one line each, what is done for want of memory and what is amiss.

    Raises:
        ModelError: The file is no style model.
        InferenceError: The provider was named and cannot be had.
        UsageError: An argument is out of bounds.
    """

    def __init__(
        self,
        model: str | Path | bytes | ModelFile,
        *,
        provider: Provider = "auto",
        threads: int = 0,
        size: int | None = 1024,
        brush: float | None = None,
        restore_size: bool = False,
        original_colors: bool = False,
        color_transfer: ColorTransfer = "luminance",
        strength: float = 1.0,
        style: str | None = None,
        gradient: str | None = None,
        regions: Sequence[tuple[str | Path, str]] = (),
        texture: float = 1.0,
        max_pixels: int = MAX_PIXELS,
        tile: str | int = "auto",
        announce: Callable[[str], object] = lambda line: None,
    ) -> None:
        if size is not None and size < 1:
            raise UsageError(f"--size must be at least 1 px, got {size}")
        if brush is not None and not LEAST_BRUSH <= brush <= MOST_BRUSH:
            raise UsageError(f"--brush must be {LEAST_BRUSH:g} to {MOST_BRUSH:g}, got {brush:g}")
        if not 0 <= strength <= 1:
            raise UsageError(f"--strength must be 0 to 1, got {strength:g}")
        if not 0 <= texture <= MOST_TEXTURE:
            raise UsageError(f"--texture must be 0 to {MOST_TEXTURE:g}, got {texture:g}")
        if color_transfer not in get_args(ColorTransfer):
            names = " or ".join(get_args(ColorTransfer))
            raise UsageError(f"--color-transfer must be {names}, got {color_transfer}")
        self.size = size
        self.brush = brush
        self.restore_size = restore_size or brush is not None
        self.original_colors = original_colors
        self.color_transfer = color_transfer
        self.strength = strength
        self.max_pixels = max_pixels
        self.texture = texture
        self.session: Session = open_session(model, provider, threads=threads, announce=announce)
        self.painter = Painter(self.session, tile=tile, announce=announce)
        if texture != 1 and not self.session.has_texture:
            raise UsageError(
                f"--texture {texture:g}: {self.session.name} has no noise whose amplitude could be"
                " set; networks of nst train --net swift have"
            )
        self.is_choosing = style == AUTO and self.session.has_mix
        self._has_chosen = False
        if style == AUTO:  # until a photograph comes
            style = self.info.styles[0] if self.is_choosing else None
        self.mixture = mixture_of(
            self.info,
            model=self.session.name,
            style=style,
            gradient=gradient,
            regions=regions,
        )
        self._adviser: Adviser | None = None
        self._mix: tuple[object, NDArray[np.float32]] | None = None

    @property
    def info(self) -> ModelInfo:
        """The metadata of the model: its styles, how it was trained, how exact the export is."""
        return self.session.info

    @property
    def label(self) -> str:
        """What it paints, for the names of files: the style, or those that are mixed."""
        if self.is_choosing and not self._has_chosen:
            return AUTO
        return self.info.styles[0] if self.mixture is None else self.mixture.label

    def __call__(self, source: Source, *, name: str | None = None) -> Picture:
        """Paint one picture.

        Args:
            source: What to paint.
            name: What to call it in an error; a file goes by its path.

        Returns:
            The painting. Alpha is that of the photograph; a change of size and tiles stand in
            ``notes``.

        Raises:
            ImageError: The picture cannot be read.
            InferenceError: It is too large for the free memory, or the run failed.
        """
        if name is None:
            name = str(source) if isinstance(source, str | Path) else "the picture"
        photograph = self._as_picture(source, name)
        if self.is_choosing and not self._has_chosen:
            self.choose(photograph.rgb, name=name)
        size = self._seen_size(photograph.height, photograph.width)
        why_in_tiles = self.painter.look(*size, name=name, brush=self.brush or 1.0)
        seen, note = self._fitted(photograph, *size)
        mix = self._mix_for(seen, name, photograph)
        job = Job(image=seen.rgb, name=name, texture=self.texture, mix=mix)
        painted, tiled = self.painter.paint(job, why_in_tiles)
        if self.restore_size and painted.shape != photograph.rgb.shape:
            kept = None if mix is None else original_share(mix)
            painted = restored(painted, seen.rgb, photograph.rgb, kept)
            seen = photograph
        if self.original_colors:
            keep = with_original_colors
            if self.color_transfer == "statistics":
                keep = with_matched_colors
            painted = keep(painted, seen.rgb)
        if self.strength < 1 and mix is None:
            painted = blend(seen.rgb, painted, self.strength)
        return Picture(rgb=painted, alpha=seen.alpha, notes=photograph.notes + note + tiled)

    def read(self, source: str | Path | bytes | BinaryIO, *, name: str | None = None) -> Picture:
        """Read a photograph as ``nst.image.load_image`` does, of ``max_pixels`` at most.

        Raises:
            ImageError: It cannot be read.
        """
        try:
            return load_image(source, name=name, max_pixels=self.max_pixels)
        except PixelLimitError as error:
            raise PixelLimitError(f"{error}, or raise --max-pixels") from None

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Run the network alone: no resizing, no colours, no strength, no look at the memory.

        Args:
            images: RGB, uint8, (N, H, W, 3).

        Returns:
            RGB, uint8, (N, H, W, 3).

        Raises:
            ImageError: The array is of another kind.
            InferenceError: The run failed, for want of memory as a rule.
        """
        if self.is_choosing and not self._has_chosen:
            raise UsageError("--style auto: no style was chosen yet")
        mix = None
        if self.mixture is not None:
            _, height, width, _ = images.shape
            mix = self.mixture.grid(height, width, strength=1.0, name="the picture")
        return self.session.run(images, texture=self.texture, mix=mix)

    def is_reduced(self, height: int, width: int) -> bool:
        """Whether the network sees less than all pixels of a picture of that size."""
        return max(height, width) > self._long_side(height, width)

    def _long_side(self, height: int, width: int) -> int:
        """Return the long side that the network sees of a picture, px."""
        own = max(height, width)
        if self.brush is None:
            return own if self.size is None else min(own, self.size)
        return max(1, round((self.size or own) / self.brush))

    def choose(self, photograph: NDArray[np.uint8], *, name: str = "the picture") -> str:
        """Choose the style that suits a photograph, for it and those that follow.

        Args:
            photograph: RGB, uint8, (H, W, 3).
            name: What to call it in an error.

        Returns:
            The style.

        Raises:
            UsageError: The model does not say what its styles look like.
            ImageError: The photograph is too small to judge.
        """
        if self._adviser is None:
            from infer.suggest import Adviser  # here, because most paintings need no judge

            self._adviser = Adviser()
        best = self._adviser.rank(photograph, [self.session], name=name)[0].style
        self._has_chosen = True
        assert self.mixture is not None
        self.mixture = self.mixture.with_style(best, self.info.styles)
        return best

    def _mix_for(self, seen: Picture, name: str, photograph: Picture) -> NDArray[np.float32] | None:
        """Return the mix for a picture; that of the last one where it had the same size."""
        if self.mixture is None:
            return None
        key = (self.mixture, seen.height, seen.width, self.strength)
        if self._mix is None or self._mix[0] != key:
            grid = self.mixture.grid(
                *(seen.height, seen.width),
                strength=self.strength,
                name=name,
                whole=(photograph.height, photograph.width),
            )
            self._mix = key, grid
        return self._mix[1]

    def _as_picture(self, source: Source, name: str) -> Picture:
        if isinstance(source, Picture):
            return source
        if isinstance(source, str | Path | bytes):
            return self.read(source, name=name)
        is_rgb = source.ndim == 3 and source.shape[-1] == 3 and source.size > 0
        if source.dtype != np.uint8 or not is_rgb:
            raise ImageError(
                f"{name}: an array must be RGB uint8 (height, width, 3),"
                f" got {source.dtype} {tuple(source.shape)}"
            )
        return Picture(rgb=source, alpha=None, notes=())

    def _seen_size(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of what the network sees of a picture, px."""
        scale = self._long_side(height, width) / max(height, width)
        return max(1, round(height * scale)), max(1, round(width * scale))

    def _fitted(
        self, photograph: Picture, new_height: int, new_width: int
    ) -> tuple[Picture, tuple[str, ...]]:
        """Return the picture that the network sees, and a note where it is not the photograph."""
        height, width = photograph.height, photograph.width
        if (new_height, new_width) == (height, width):
            return photograph, ()
        rgb = resize_image(photograph.rgb, new_height, new_width)
        alpha = photograph.alpha
        if alpha is not None:
            alpha = resize_image(alpha, new_height, new_width)
        note = f"{width}x{height} painted at {new_width}x{new_height}"
        if self.restore_size:
            note += f" and {'reduced' if new_width > width else 'enlarged'} again"
        return Picture(rgb=rgb, alpha=alpha, notes=()), (note,)
