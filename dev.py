"""Two commands from a fresh checkout: `python dev.py demo` ends in a prediction, `python dev.py test` runs the tests.

Both make the environment that they need in `.venv` (only what is missing is installed), on any system that has
Python 3.11 and a C compiler. `python dev.py --help` lists the rest. Nothing but the standard library is used here.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".venv"
SCRIPTS = ENVIRONMENT / ("Scripts" if os.name == "nt" else "bin")
PYTHON = SCRIPTS / ("python.exe" if os.name == "nt" else "python")
DEMO = ROOT / "demo"


def run(*command: str | Path, **environment: str) -> None:
    """Run a command in the checkout; stop with its exit code if it fails."""
    print("$", " ".join(str(part) for part in command), flush=True)
    done = subprocess.run([str(part) for part in command], cwd=ROOT, env=os.environ | environment, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def set_up(extra: str) -> None:
    """Make `.venv` and install the checkout with an extra of pyproject.toml; quick when nothing changed."""
    stamp = ENVIRONMENT / f".installed-{extra}"
    sources = [ROOT / "pyproject.toml", ROOT / "CMakeLists.txt", *(ROOT / "cxredge" / "native").rglob("*.[chp]*")]
    newest = max(path.stat().st_mtime for path in sources)
    if stamp.exists() and stamp.stat().st_mtime > newest:
        return
    if not PYTHON.exists():
        venv.create(ENVIRONMENT, with_pip=True)
    pip = (PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*pip, "scikit-build-core>=0.11", "cffi>=2.0", "cmake>=3.26", "ninja")
    run(*pip, "--no-build-isolation", "--editable", f".[{extra}]")
    stamp.touch()


def demo() -> None:
    """Predict on a drawn chest with the embedded bundle, and write the overlay and the report."""
    set_up("test")
    DEMO.mkdir(exist_ok=True)
    run(
        SCRIPTS / "cxredge", "predict", ROOT / "examples" / "scan.dcm",
        "--output", DEMO, "--overlay", "--report", DEMO / "report.html",
    )  # fmt: skip
    print(f"\nLook at {DEMO / 'scan.overlay.png'} and {DEMO / 'report.html'}.")


def test(arguments: list[str]) -> None:
    """Run the tests (arguments go to pytest)."""
    set_up("dev")
    run(PYTHON, "-m", "pytest", *arguments)


def lint() -> None:
    """Format, lint and types, as CI checks them."""
    set_up("dev")
    run(SCRIPTS / "ruff", "format", "--check", ".")
    run(SCRIPTS / "ruff", "check", ".")
    run(SCRIPTS / "mypy")


def codes() -> None:
    """Write docs/codes.md from the enum of codes."""
    set_up("dev")
    run(PYTHON, "-m", "tests.support.codes_page", ROOT / "docs" / "codes.md")


def robustness() -> None:
    """Write docs/robustness.md from the table of bad inputs."""
    set_up("dev")
    run(PYTHON, "-m", "tests.support.robustness_page", ROOT / "docs" / "robustness.md")


def tables() -> None:
    """Write the tables of docs/node.md and docs/conformance.md from the code."""
    set_up("dev")
    for name in ("node", "conformance"):
        run(PYTHON, "-m", f"tests.support.{name}_page", ROOT / "docs" / f"{name}.md")


def main() -> None:
    """Read the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for function in (demo, test, lint, codes, robustness, tables):
        commands.add_parser(function.__name__, help=function.__doc__, add_help=function is not test)
    known, rest = parser.parse_known_args()
    if known.command == "test":
        test(rest)
    elif rest:
        parser.error(f"unknown: {' '.join(rest)}")
    else:
        {"demo": demo, "lint": lint, "codes": codes, "robustness": robustness, "tables": tables}[known.command]()


if __name__ == "__main__":
    main()
