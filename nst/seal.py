"""A hash in a model file over all its other bytes, so that damage is found. Torch-free.

ONNX Runtime runs most damaged files as if nothing were wrong and paints something else. Protobuf
reads the parts of a message in any order, so the hash is one more metadata entry behind the rest.
It tells damage, and not who made a file: whoever changes one on purpose can make the hash anew.
"""

from __future__ import annotations

import hashlib
import json

from onnx import ModelProto

from nst.errors import ModelError

KEY = "nst.content_sha256"
"""Metadata key of the hash, the last part of the file."""
MARK = "nst.sealed"
"""Metadata key that says that there must be one."""


def sealed(model: ModelProto) -> bytes:
    """Return the bytes of a model with the hash at their end; the same model, the same bytes."""
    copy = unsealed(model)
    entries = list(copy.metadata_props)
    del copy.metadata_props[:]
    # In front of the others: a file that was cut off has lost more than these two.
    copy.metadata_props.add(key=MARK, value="true")
    copy.metadata_props.extend(entries)
    data: bytes = copy.SerializeToString(deterministic=True)
    return data + _ending(data)


def unsealed(model: ModelProto) -> ModelProto:
    """Return a copy of a model without a hash, as files were before it."""
    copy = ModelProto()
    copy.CopyFrom(model)
    del copy.metadata_props[:]
    kept = (entry for entry in model.metadata_props if entry.key not in (KEY, MARK))
    copy.metadata_props.extend(kept)
    return copy


def is_sealed(data: bytes, *, source: str) -> bool:
    """Whether a model file carries a hash, and it is right; False for files from before it.

    Args:
        data: The content of the file.
        source: What to call it in an error.

    Raises:
        ModelError: The file is damaged.
    """
    length = len(_ending(b""))
    if data[-length:] == _ending(data[:-length]):
        return True
    if KEY.encode() in data or MARK.encode() in data:
        raise ModelError(
            f"{source} is damaged, it is not as it was exported; get or export it again"
        )
    return False


def _ending(data: bytes) -> bytes:
    """Return the entry with the hash as protobuf writes it."""
    model = ModelProto()
    model.metadata_props.add(key=KEY, value=json.dumps(hashlib.sha256(data).hexdigest()))
    ending: bytes = model.SerializeToString()
    return ending
