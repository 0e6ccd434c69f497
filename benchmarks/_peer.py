"""torchxrayvision's documented path as a peer, in an environment of its own: neither it nor torch is needed here."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["HOW", "Peer", "add_options", "find"]

HOW = """torchxrayvision was not run. It needs an environment of its own, and a script that times it:
  python -m venv peer && peer/bin/pip install torch==2.13.0
  peer/bin/pip install --no-deps torchvision==0.28.0 torchxrayvision==1.5.7 scikit-image imageio tifffile pandas pytz \\
    lazy_loader requests charset_normalizer idna urllib3 certifi python-dateutil six tqdm pillow pydicom scipy \\
    packaging numpy pylibjpeg pylibjpeg-libjpeg
  ... --peer-python peer/bin/python --peer-script SCRIPT
The script is called as `SCRIPT FILE --repeat N` and prints one JSON object with the median `median_ms` of N warm
predictions, from the file to 14 scores; and as `SCRIPT FILE --cold`, which predicts once and ends. What it must do:
benchmarks/PROTOCOL.md. (pylibjpeg-libjpeg, for JPEG-LS, is GPL-3.0: it belongs into that environment alone.)"""


@dataclass(frozen=True)
class Peer:
    """Where it is."""

    python: Path
    script: Path

    def warm(self, film: Path, repeat: int) -> float:
        """Median milliseconds of warm predictions in a new process; raises RuntimeError with what it said."""
        done = subprocess.run(
            [str(self.python), str(self.script), str(film), "--repeat", str(repeat)],
            capture_output=True, text=True, check=False, env=clean_environment(),
        )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeError(([*done.stderr.strip().splitlines(), ""])[-2][-200:])
        return float(json.loads(done.stdout.splitlines()[-1])["median_ms"])

    def cold(self, film: Path) -> list[str]:
        """The command of one prediction in a new process."""
        return [str(self.python), str(self.script), str(film), "--cold"]


def clean_environment() -> dict[str, str]:
    """Without what would make the peer find this environment's packages."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Where the peer is; the variables are for run_all.py and CI."""
    for name, what in (("python", "its environment's interpreter"), ("script", "what times it")):
        variable = f"CXREDGE_PEER_{name.upper()}"
        default = os.environ.get(variable)
        parser.add_argument(f"--peer-{name}", type=Path, default=default, help=f"{what} (else {variable})")


def find(asked: argparse.Namespace) -> Peer | None:
    """The peer, or None after saying how to make it."""
    if asked.peer_python and asked.peer_script and Path(asked.peer_script).is_file():
        return Peer(asked.peer_python, asked.peer_script)
    print(HOW)
    return None
