"""`python -m export` is the workbench's export command."""

from export.cli import main

if __name__ == "__main__":
    main()
