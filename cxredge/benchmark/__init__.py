"""How fast a bundle runs on this machine: every engine, precision, batch size and number of threads that was asked for.

:func:`cxredge.benchmark.suite.run` measures, :mod:`cxredge.benchmark.record` is the JSON that comes out. What is
measured and how stands in `docs/benchmark.md`.
"""
