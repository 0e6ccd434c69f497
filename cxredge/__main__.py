"""`python -m cxredge` is the `cxredge` command."""

from cxredge.cli import main

if __name__ == "__main__":
    main()
