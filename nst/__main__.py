"""`python -m nst`: the front door without an installed command."""

from nst.cli import main

main()
