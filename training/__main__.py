"""`python -m training` is the workbench's training command."""

from training.cli import main

if __name__ == "__main__":
    main()
