"""Warm, from a file to its answer: cxredge with the embedded bundle, against torchxrayvision's documented path.

    python benchmarks/against_torchxrayvision.py --peer-python PYTHON --peer-script SCRIPT [--json FILE]

A raw, JPEG 2000 lossless, JPEG-LS and RLE film of 3000 x 2500. Ours: DICOM file -> outlines of lungs and heart, 14
calibrated findings, JSON text. Theirs: DICOM file -> 14 scores of a DenseNet-121 at 224, eager torch. Each turn starts
the peer's process, which warms up twice and gives the median of 5; ours stays open and gives the median of 15.
Without the peer the rows say so, and how to make its environment.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks import _films, _peer
from benchmarks._turns import finish, in_turns, load, options, ratio, summary, timed, verdict

TARGETS = {"raw": 8.0, "jpeg_2000": 15.0, "jpeg_ls": 4.0, "rle": 7.0}


def measure(
    films: dict[str, Path], peer: _peer.Peer | None, rounds: int, engine: str, precision: str, *, smoke: bool
) -> dict[str, Any]:
    """A row a film."""
    import cxredge

    rows: dict[str, Any] = {}
    with cxredge.load(engine=engine, precision=precision) as model:
        print(f"cxredge on {model.ran.engine} {model.ran.precision}, {model.manifest.name} {model.manifest.version}")
        for name, film in films.items():
            ours = timed(lambda film=film: model.predict(film).to_json(), 15)
            sides = {"ours": ours}
            row: dict[str, Any] = {"ran": f"{model.ran.engine} {model.ran.precision}"}
            try:
                if peer is not None:
                    sides["theirs"] = lambda film=film: peer.warm(film, 5)
                taken = in_turns(sides, rounds, warm_up=1 if rounds > 1 else 0)
            except RuntimeError as error:
                row["peer_not_run"] = str(error)
                taken = in_turns({"ours": ours}, rounds)
            row |= {side: summary(values) for side, values in taken.items()}
            if "theirs" in taken:
                row |= ratio(taken["theirs"], taken["ours"]) | {"at_least": None if smoke else TARGETS[name]}
            elif peer is None:
                row["peer_not_run"] = "no --peer-python and --peer-script"
            rows[name] = row
            print(line(name, row))
    return rows


def line(name: str, row: dict[str, Any]) -> str:
    """A row for people."""
    text = f"{name:<10} ours {row['ours']['median']:8.1f} ms"
    if "ratio" not in row:
        return f"{text}   torchxrayvision not run: {row['peer_not_run']}"
    text += f"   torchxrayvision {row['theirs']['median']:8.1f} ms"
    text += f"   {row['ratio']:5.1f} times ({row['low']:.1f} to {row['high']:.1f})"
    return text + verdict(row["ratio"], row["at_least"])


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, rounds=5)
    parser.add_argument("--engine", default="auto", help="of ours")
    parser.add_argument("--precision", default="auto", help="of ours")
    parser.add_argument("--only", default="", help="names of films, with commas")
    _peer.add_options(parser)
    asked = parser.parse_args()
    before, names = load(), tuple(asked.only.split(",")) if asked.only else tuple(_films.SYNTAXES)
    peer = _peer.find(asked)
    with tempfile.TemporaryDirectory() as folder:
        films = _films.write(Path(folder), *((600, 500) if asked.smoke else (3000, 2500)), names)
        rows = measure(
            films, peer, 1 if asked.smoke else asked.rounds, asked.engine, asked.precision, smoke=asked.smoke
        )
    finish(rows, asked, before)


if __name__ == "__main__":
    main()
