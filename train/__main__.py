"""``python -m train`` and ``torchrun -m train``: the verb alone, without the export at its end."""

from nst.terminal import border
from train.cli import app

with border():
    app()
