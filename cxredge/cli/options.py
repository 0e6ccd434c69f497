"""The options that choose a model, the same for every command that loads one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["bundle_option", "engine_options", "key_option", "model_options"]

F = TypeVar("F", bound=Callable[..., Any])

_BUNDLE = click.option(
    "--bundle",
    type=click.Path(),
    envvar="CXREDGE_BUNDLE",
    show_envvar=True,
    help="Bundle folder or .cxr file.",
)
_KEY = click.option(
    "--key",
    type=click.Path(),
    envvar="CXREDGE_KEY",
    show_envvar=True,
    help="Public key (PEM): refuse a bundle that it did not sign.",
)
_ENGINE = (
    click.option("--engine", default="auto", show_default=True, help="auto, onnxruntime, openvino or tensorrt."),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, ... as `cxredge doctor` lists."),
    click.option("--precision", default="auto", show_default=True, help="auto, fp32, bf16, fp16 or int8."),
    click.option("--threads", type=click.IntRange(min=1), help="Threads for one inference.  [default: the engine's]"),
)


def model_options(command: F) -> F:
    """Add `--bundle --key --engine --device --precision --threads` to a command."""
    return _BUNDLE(key_option(engine_options(command)))


def bundle_option(command: F) -> F:
    """Add `--bundle` to a command."""
    return _BUNDLE(command)


def key_option(command: F) -> F:
    """Add `--key` to a command that opens a bundle."""
    return _KEY(command)


def engine_options(command: F) -> F:
    """Add `--engine --device --precision --threads` to a command."""
    for option in reversed(_ENGINE):
        command = option(command)
    return command
