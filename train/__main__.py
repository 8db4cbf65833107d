"""``python -m train`` and ``torchrun -m train``: the verb alone, without the export at its end."""

from nst.terminal import border
from train.cli import app

if __name__ == "__main__":  # not in the processes that make pictures, which import this
    with border():
        app()
