"""`python -m calibration` is the workbench's calibration command."""

from calibration.cli import main

if __name__ == "__main__":
    main()
