"""What ``nst evaluate`` judges: a model of the contract, or a folder of paintings."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nst.errors import DataError, ImageError, UsageError
from nst.settings import Provider

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nst.contract import ModelInfo
    from nst.judge import Paint


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """What is judged."""

    path: str | Path
    facts: dict[str, Any]
    """For the card: kind, name, hash, and what a model tells about itself."""
    paint: Paint | None
    """None for a folder."""
    provider: str
    """Where ONNX Runtime runs it, ``CPU``; empty for a folder."""
    about_provider: str
    """Which provider was asked for and obtained, in a line."""
    paintings: dict[Path, Path]
    """The painting of each photograph; empty for a model."""

    def painted(self, file: Path, photograph: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the painting of a photograph, in the size of ``photograph``, ``(H, W, 3)``."""
        from nst.image import load_image, resize_image

        if self.paint is not None:
            return self.paint(photograph)
        rgb = load_image(self.paintings[file]).rgb
        height, width = photograph.shape[:2]
        own = rgb.shape[1] / rgb.shape[0]
        if abs(own * height / width - 1) > 0.1:
            raise ImageError(
                f"{self.paintings[file]}: {rgb.shape[1]}x{rgb.shape[0]} px is no painting of"
                f" {file}, which has other proportions"
            )
        return rgb if rgb.shape == photograph.shape else resize_image(rgb, height, width)

    def ms(self, photographs: Sequence[NDArray[np.uint8]]) -> dict[str, float] | None:
        """Return the median time for each size of picture, ms, by ``WxH``; None for a folder."""
        from nst.speed import median_ms

        if self.paint is None:
            return None
        return {f"{p.shape[1]}x{p.shape[0]}": median_ms(self.paint, p) for p in photographs}


def named_photographs(folder: Path | None) -> dict[str, Path]:
    """Return photographs by their names on a card: those of a folder, else the embedded ones.

    Raises:
        DataError: There are none in the folder.
    """
    from nst.image import find_images
    from nst.samples import photographs

    if folder is None:
        return {file.name: file for file in photographs()}
    files = find_images(folder)
    if not files:
        raise DataError(f"--photos {folder}: no photographs in it")
    return {file.relative_to(folder).as_posix(): file for file in files}


def open_subject(
    path: str | Path,
    photographs: Mapping[str, Path],
    *,
    provider: Provider,
    style: Path,
    mix: str | None = None,
    flag: str = "MODEL",
    announce: Callable[[str], object] = lambda line: None,
) -> Subject:
    """Load a model, or find the paintings of photographs in a folder.

    Args:
        path: An ONNX file or a run folder with one, a folder of paintings, or as a string a name
            of the registry.
        photographs: Their files by their names, which their paintings have too.
        provider: Where a model runs.
        style: The style image; a model of several styles paints the one that it was trained with.
        mix: What such a model paints instead, as ``nst.recipe`` reads it.
        flag: What to call ``path`` in an error.
        announce: Told in one line what is amiss with a model.

    Raises:
        DataError: The painting of a photograph is missing, or there are several.
        ModelError: The file is no style model.
        InferenceError: The provider was named and cannot be had.
    """
    from infer.model_file import exported_at, exported_in, read_model
    from nst.checkpoint import LAST

    facts: dict[str, Any]
    is_run = isinstance(path, Path) and (path / LAST).exists()
    if isinstance(path, Path) and path.is_dir() and not exported_in(path) and not is_run:
        paintings = _matched(path, photographs, flag)
        facts = {
            "kind": "folder",
            "name": path.resolve().name,
            "sha256": _hash_of(paintings.values()),
        }
        return Subject(path, facts, None, "", "paintings from a folder", paintings)
    if isinstance(path, Path) and not path.exists():
        raise UsageError(f"{flag} {path}: no such model or folder")
    from infer.stylizer import Stylizer
    from nst.model_graph import count_numbers

    path = exported_at(path) if isinstance(path, Path) else path
    if mix == "auto":
        raise UsageError("--as auto: name the style that is judged")
    model = read_model(path)
    info = model.info
    if mix is None and info.controls != "none":
        mix = _style_trained_with(style, info, Path(path).name)
    stylizer = Stylizer(model, provider=provider, size=None, style=mix, announce=announce)
    facts = {
        "kind": "model",
        "name": Path(path).name,
        "sha256": hashlib.sha256(model.data).hexdigest(),
        "bytes": len(model.data),
        "parameters": count_numbers(model.data),
        "styles": list(info.styles),
        "painted": stylizer.label,
        "style_sha256": list(info.style_sha256),
        "network": info.network,
        "width": info.width,
        "made_with": info.made_with,
        "training": dict(info.training),
    }

    def paint(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        painted: NDArray[np.uint8] = stylizer.run(rgb[None])[0]
        return painted

    session = stylizer.session
    return Subject(path, facts, paint, session.obtained, session.describe_provider(), {})


def _style_trained_with(style: Path, info: ModelInfo, model: str) -> str:
    """Return the name of the style whose image this is, to the byte."""
    from nst.files import sha256_of

    if len(info.styles) == 1:
        return info.styles[0]
    named = dict(zip(info.style_sha256, info.styles, strict=True))
    found = named.get(sha256_of(style))
    if found is None:
        raise UsageError(
            f"{model} has {len(info.styles)} styles and {style} is the image of none of them;"
            f" choose with --as: {', '.join(info.styles)}"
        )
    return found


@contextmanager
def naming(file: Path) -> Iterator[None]:
    """Put the name of a photograph before what is wrong with it."""
    try:
        yield
    except ImageError as error:
        text = str(error)
        raise ImageError(text if str(file) in text else f"{file}: {error}") from None


def _matched(folder: Path, photographs: Mapping[str, Path], flag: str) -> dict[Path, Path]:
    """Return the painting of each photograph: the same name, whatever the suffix."""
    from nst.image import find_images

    found = find_images(folder)
    by_place: dict[Path, list[Path]] = {}
    by_stem: dict[str, list[Path]] = {}
    for painting in found:
        by_place.setdefault(painting.relative_to(folder).with_suffix(""), []).append(painting)
        by_stem.setdefault(painting.stem, []).append(painting)
    matched = {}
    for name, file in photographs.items():
        place = Path(name).with_suffix("")
        candidates = by_place.get(place) or by_stem.get(file.stem, [])
        if not candidates:
            raise DataError(f"{flag} {folder}: no painting of {file}, {place}.png or the like")
        if len(candidates) > 1:
            names = " and ".join(str(c.relative_to(folder)) for c in candidates[:2])
            raise DataError(f"{flag} {folder}: {names} could both be the painting of {file}")
        matched[file] = candidates[0]
    return matched


def _hash_of(paintings: Iterable[Path]) -> str:
    """Return one SHA-256 over those of several files, in order."""
    from nst.files import sha256_of

    return hashlib.sha256("".join(sha256_of(p) for p in paintings).encode()).hexdigest()
