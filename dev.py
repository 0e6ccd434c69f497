"""Two commands from a fresh checkout: `python dev.py demo` ends in a prediction, `python dev.py test` runs the tests.

Both make the environment that they need in `.venv` (only what is missing is installed), on any system that has
Python 3.11 and a C compiler. `python dev.py --help` lists the rest. Nothing but the standard library is used here.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".venv"
SCRIPTS = ENVIRONMENT / ("Scripts" if os.name == "nt" else "bin")
PYTHON = SCRIPTS / ("python.exe" if os.name == "nt" else "python")
DEMO = ROOT / "demo"
LOCKED = ROOT / "requirements" / "release.txt"
RELEASED = ("sign", "dicom", "node", "openvino")
"""The extras that a release is locked with; the others need a device or are the workbench's."""


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


def coverage(arguments: list[str]) -> None:
    """Run the tests (arguments go to pytest) and fail where they cover too little of the code that reads."""
    set_up("dev")
    report = ROOT / "build" / "coverage.json"
    run(PYTHON, "-m", "pytest", "--cov", "--cov-report=", f"--cov-report=json:{report}", *arguments)
    run(PYTHON, "-m", "tests.support.coverage_floor", report)


def fuzz(arguments: list[str]) -> None:
    """Fuzz what reads foreign files (arguments go to `python -m tests.fuzz`), with atheris where it has a build."""
    set_up("test")
    set_up("fuzz")
    run(PYTHON, "-m", "tests.fuzz", *arguments)


def lock() -> None:
    """Write requirements/release.txt: the runtime's packages and extras, pinned, with the hashes of their files."""
    set_up("release")
    new = ROOT / "build" / "release.txt"
    new.parent.mkdir(exist_ok=True)
    command = [SCRIPTS / "pip-compile", "--quiet", "--upgrade", "--generate-hashes", "--strip-extras", "--no-header"]
    unsaid = ("annotate", "emit-index-url", "emit-find-links", "emit-trusted-host", "emit-options")
    command += [f"--no-{word}" for word in unsaid]
    command += [f"--extra={name}" for name in RELEASED]
    run(*command, "--unsafe-package=cxredge", "--output-file", new, "pyproject.toml")
    kept = [line for line in new.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    head = f"# cxredge with its extras {', '.join(RELEASED)}; written by `python dev.py lock`."
    LOCKED.write_text("\n".join((head, *kept)) + "\n", encoding="utf-8", newline="\n")


def sbom() -> None:
    """Build the wheel, install it by the locked hashes into a clean environment, and list that as CycloneDX JSON."""
    set_up("release")
    out = ROOT / "build" / "release"
    shutil.rmtree(out, ignore_errors=True)
    run(PYTHON, "-m", "build", "--wheel", "--outdir", out, ".")
    venv.create(out / "env", with_pip=False)
    python = out / "env" / SCRIPTS.name / PYTHON.name
    pip = (PYTHON, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check")
    run(*pip, "--require-hashes", "--only-binary", ":all:", "--requirement", LOCKED)
    run(*pip, "--no-deps", *out.glob("*.whl"))
    run(python, "-I", "-m", "cxredge", "--version")
    bill = out / "cxredge.cdx.json"
    command = [SCRIPTS / "cyclonedx-py", "environment", "--pyproject", "pyproject.toml", "--output-reproducible"]
    run(*command, "--output-format", "JSON", "--output-file", bill, python)
    run(PYTHON, "-m", "tests.support.released", bill, LOCKED)


def main() -> None:
    """Read the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    plain = {function.__name__: function for function in (demo, lint, codes, robustness, tables, lock, sbom)}
    handing_on = {function.__name__: function for function in (test, coverage, fuzz)}
    for name, function in (plain | handing_on).items():
        commands.add_parser(name, help=function.__doc__, add_help=name in plain)
    known, rest = parser.parse_known_args()
    if known.command in handing_on:
        handing_on[known.command](rest)
    elif rest:
        parser.error(f"unknown: {' '.join(rest)}")
    else:
        plain[known.command]()


if __name__ == "__main__":
    main()
