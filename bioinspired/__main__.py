"""`python -m bioinspired` is the command line."""

from bioinspired.cli import main

if __name__ == "__main__":
    main()
