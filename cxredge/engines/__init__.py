"""Inference engines: one small module each, behind the same few names.

:func:`cxredge.engines.registry.choose` decides which one runs, :func:`cxredge.engines.registry.open_session` opens it.
docs/engines.md says what each can do, and what has been run.
"""
