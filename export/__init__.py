"""From a checkpoint to one static ONNX graph, checked against the network, and on to compiled engines.

`python -m export`; see docs/export.md. It lives in the checkout and is not part of the wheel.
"""
