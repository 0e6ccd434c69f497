"""A model inside a program of one's own: load once, predict often, keep what matters.

python examples/embed.py BUNDLE FILE...
"""

from __future__ import annotations

import sys

import cxredge


def main(bundle: str, paths: list[str]) -> None:
    """Print one line a file: what a worklist would show."""
    with cxredge.load(bundle) as model:
        for prediction in model.predict_many(paths):
            if prediction.reason is not None:
                print(f"{prediction.status}: {prediction.reason.message}")
                continue
            shown = [f"{f.label} {f.probability:.2f} (threshold {f.threshold:.2f})" for f in prediction.positives]
            print(f"{prediction.input.path}: {', '.join(shown) or 'nothing over its threshold'}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2:])
