"""TensorRT as a provider: its options, and the folder in which it keeps the engines it builds.

An engine takes minutes to build and is code of the GPU that a later run loads without a question.
So the folder belongs to this user alone, and what is in it to one model and one ONNX Runtime.
TensorRT itself puts its version and the kind of GPU into the names of the files.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from nst.cache_folder import cache_folder
from nst.errors import OutputError
from nst.files import describe

if TYPE_CHECKING:
    from infer.model_file import ModelFile

PRIVATE = 0o700


def tensorrt_options(model: ModelFile) -> dict[str, str]:
    """Return what TensorRT is asked for.

    Args:
        model: What will run.

    Raises:
        OutputError: The folder of the engines cannot be had, or others may write into it.
    """
    folder = str(engine_folder(model.data))
    return {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": folder,
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": folder,
        # Otherwise TensorRT would compute in float16 what was compared in float32.
        "trt_fp16_enable": "1" if model.info.precision == "float16" else "0",
        "trt_layer_norm_fp32_fallback": "1",
    }


def engine_folder(model: bytes) -> Path:
    """Return the private folder of a model's engines, made when missing.

    Args:
        model: The content of the file.

    Raises:
        OutputError: It cannot be made, belongs to somebody else, or others may write into it.
    """
    import onnxruntime

    digest = hashlib.sha256(model)
    digest.update(onnxruntime.__version__.encode())
    top = cache_folder() / "tensorrt"
    folder = top / digest.hexdigest()
    try:
        top.parent.mkdir(parents=True, exist_ok=True)
        for each in (top, folder):
            each.mkdir(mode=PRIVATE, exist_ok=True)
            _check_private(each)
    except OSError as error:
        raise OutputError(f"{folder}: no place for TensorRT's engines, {describe(error)}") from None
    return folder


def _check_private(folder: Path) -> None:
    """Refuse a folder into which others could have put an engine."""
    if os.name == "nt":  # there the user's own folder is private already
        return
    found = folder.lstat()
    is_own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    if not is_own or found.st_mode & 0o077:
        raise OutputError(
            f"{folder} must be a folder of yours that nobody else can open, since engines are code;"
            f" remove it, or chmod 700 {folder}"
        )
