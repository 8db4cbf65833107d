"""`python -m nst`: the front door without an installed command."""

from nst.cli import main

if __name__ == "__main__":  # not in the processes that make pictures, which import this
    main()
