"""The workbench: data sets, phantoms, methods, recipes. `python -m training --help`."""
