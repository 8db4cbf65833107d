"""The files of onnxruntime-web, which let a page run a model in the browser.

They are part of a package of npm, 33 MB, that is fetched once, checked and kept in the cache. One
pair runs on the CPU (WebAssembly), the larger one on the GPU too (WebGPU).
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable
from pathlib import Path

from nst.cache_folder import cache_folder
from nst.download import Subject, download
from nst.errors import InferenceError
from nst.files import atomic_write, describe, sha256_of
from nst.terminal import Bars

VERSION = "1.30.0"
URL = f"https://registry.npmjs.org/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"
SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"
"""Of the package."""
SIZE_MB = 33
_SUBJECT = Subject("onnxruntime-web", "give the package with --runtime", InferenceError)
FOLDER = f"onnxruntime-web-{VERSION}"
"""Where the files lie, below the page and in the cache."""
MOST_FILE_BYTES = 64_000_000

FILES = {
    "ort.wasm.min.mjs": ("219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b"),
    "ort-wasm-simd-threaded.mjs": (
        "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b"
    ),
    "ort-wasm-simd-threaded.wasm": (
        "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2"
    ),
    "ort.webgpu.min.mjs": ("3dffff71811bc13a3a3d9591c57ca5ee5735b8f5f3eaf789510b02bb040ae3a0"),
    "ort-wasm-simd-threaded.asyncify.mjs": (
        "3d1c85995364bb643302fc6fd877a0c3ba5ae72401815e0f24828a53d9191e28"
    ),
    "ort-wasm-simd-threaded.asyncify.wasm": (
        "39f9f0894d478800487ed9f7dbe92618498db320cf55c8e3d89adff8dce658da"
    ),
}
"""Those that are needed, with their SHA-256; they lie in ``package/dist/``."""


def cached_runtime() -> Path | None:
    """Return the folder with the files where all are in the cache and are what they should be."""
    folder = cache_folder() / FOLDER
    is_whole = all(
        (folder / name).is_file() and sha256_of(folder / name) == sha256
        for name, sha256 in FILES.items()
    )
    return folder if is_whole else None


def get_runtime(
    tarball: Path | None = None,
    *,
    announce: Callable[[str], object] = lambda line: None,
    bars: Bars | None = None,
) -> Path:
    """Return the folder with the files; they are fetched where the cache lacks them.

    Args:
        tarball: The package, where it lies here already; it is read in any case.
        announce: Told before a download, with its size and target.
        bars: Shows the advance of a download.

    Raises:
        InferenceError: The package cannot be had, or is another one.
        OutputError: The cache cannot be written.
    """
    folder = cache_folder() / FOLDER
    if tarball is not None:
        _unpack(tarball, folder)
    elif cached_runtime() is None:
        package = folder.with_suffix(f"{folder.suffix}.tgz")
        announce(f"onnxruntime-web {VERSION}: downloading {SIZE_MB} MB from {URL} to {folder}")
        download(
            URL,
            package,
            sha256=SHA256,
            bars=bars,
            subject=_SUBJECT,
        )
        _unpack(package, folder)
        package.unlink(missing_ok=True)
    return folder


def _unpack(tarball: Path, folder: Path) -> None:
    """Check a package and write the files that are needed; names in it lead nowhere else."""
    try:
        digest = sha256_of(tarball)
    except OSError as error:
        raise InferenceError(f"{tarball}: cannot be read, {describe(error)}") from None
    if digest != SHA256:
        raise InferenceError(
            f"{tarball} is not onnxruntime-web {VERSION}: its SHA-256 is {digest[:16]}…, not"
            f" {SHA256[:16]}…; get it with `npm pack onnxruntime-web@{VERSION}`"
        )
    with tarfile.open(tarball, "r:gz") as archive:
        for name, sha256 in FILES.items():
            member = archive.extractfile(f"package/dist/{name}")
            data = b"" if member is None else member.read(MOST_FILE_BYTES)
            if hashlib.sha256(data).hexdigest() != sha256:
                raise InferenceError(f"{tarball}: {name} in it is another file than expected")
            with atomic_write(folder / name) as file:
                file.write(data)
