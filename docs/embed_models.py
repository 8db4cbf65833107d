"""Write the models that come with the program, and their index, ``nst/assets/models``.

    python docs/embed_models.py gallery-swift=runs/a-1/a.onnx gallery-johnson=runs/b-1/b.onnx

What was there before goes. The order is that in which ``--style`` looks for a style.
"""

import argparse
import dataclasses
import json
from pathlib import Path

from infer.model_file import read_model
from nst import registry
from nst.errors import UsageError
from nst.files import atomic_write
from nst.model_entry import check_name, entry_of
from nst.terminal import border, format_size, result

MOST_BYTES = 12_000_000
"""Of all of them together: they are kept in the repository."""


def main() -> None:
    """Check every model, then copy all of them and write the index."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", metavar="NAME=FILE")
    parser.add_argument("-o", "--output", type=Path, default=registry.EMBEDDED)
    asked = parser.parse_args()
    found = []
    for text in asked.models:
        name, _, file = text.partition("=")
        check_name(name)
        model = read_model(Path(file))
        entry = entry_of(model.data, model.info, name, asked.output)
        found.append((dataclasses.replace(entry, file=asked.output / f"{name}.onnx"), model.data))
    names = [entry.name for entry, _ in found]
    if len(set(names)) < len(names):
        raise UsageError("two models have one name")
    total = sum(entry.size for entry, _ in found)
    if total > MOST_BYTES:
        raise UsageError(f"{format_size(total)} together, {format_size(MOST_BYTES)} is the most")
    for old in asked.output.glob("*.onnx"):
        old.unlink()
    for entry, data in found:
        with atomic_write(entry.file) as target:
            target.write(data)
        result(f"{entry.name}: {entry.net} {entry.width}, {', '.join(entry.styles)}")
    index = {"models": [entry.to_record() for entry, _ in found]}
    with atomic_write(asked.output / registry.INDEX) as target:
        target.write((json.dumps(index, indent=1) + "\n").encode())


if __name__ == "__main__":
    with border():
        main()
