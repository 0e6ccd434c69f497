"""From a graph to a sealed bundle: INT8 that proves itself, probabilities, thresholds. See docs/calibration.md.

The workbench's last stage: it reads graphs and tables of labelled images, and knows nothing of how they were trained.
"""
