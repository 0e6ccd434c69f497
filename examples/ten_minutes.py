"""Follows docs/node-in-ten-minutes.md word by word: `python3 examples/ten_minutes.py`, in a checkout, on Debian.

Takes the page's `bash` blocks and runs them as one script that stops at the first failure. What it does otherwise than
the page stands at the page's end, and is printed. Nothing but the standard library is used.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "node-in-ten-minutes.md"
PORTS = {4242: "Orthanc", 8042: "Orthanc", 11112: "the node", 9112: "the node's metrics"}
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""As root has it on a new machine: an environment's own `storescu` is another program."""
LONGEST = 600.0


def blocks() -> list[str]:
    """The page's commands."""
    return re.findall(r"^```bash\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def script(home: Path) -> str:
    """All blocks as one script, with what cannot be as on the page."""
    text = "\n".join(f"echo '--- block {number}'\n{block}" for number, block in enumerate(blocks(), start=1))
    if os.geteuid() != 0:
        print("otherwise: this is not root: what the page installs with apt-get must be there")
        text, left_out = re.subn(r"^apt-get .*\n", "", text, flags=re.MULTILINE)
        if left_out != 2:
            sys.exit("the page's lines with apt-get are not those that this program knows")
    print("otherwise: Orthanc is started without systemd, with a storage of its own")
    if text.count("systemctl start orthanc\n") != 1:
        sys.exit("the page starts Orthanc in another way than this program knows")
    return text.replace("systemctl start orthanc\n", f"{own_orthanc(home)}\n")


def own_orthanc(home: Path) -> str:
    """The command that starts Orthanc with Debian's configuration and a storage below `home`."""
    storage = home / "orthanc"
    return (
        f"cp -r /etc/orthanc {storage}\n"
        f'sed -i -E \'s#^( *"(Storage|Index)Directory" *:).*#\\1 "{storage}/db",#\' {storage}/orthanc.json\n'
        f"/usr/sbin/Orthanc {storage} > {home}/orthanc.log 2>&1 &\n"
        "timeout 60 sh -c 'until curl -fs -o /dev/null http://127.0.0.1:8042/system; do sleep 1; done'"
    )


def free(port: int) -> bool:
    """Whether nobody listens there."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def main() -> None:
    """Run it, and say how long it took."""
    if taken := [f"{port} ({whose})" for port, whose in PORTS.items() if not free(port)]:
        sys.exit(f"these ports of the page are taken: {', '.join(taken)}")
    home = Path(tempfile.mkdtemp())
    print(f"otherwise: ~ is {home}, removed at the end")
    began = time.monotonic()
    environment = os.environ | {"HOME": str(home), "PATH": PATH}
    environment.pop("CXREDGE_CACHE", None)
    try:
        command = ["bash", "-euo", "pipefail", "-c", script(home)]
        ran = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)
        code = ran.wait()
    finally:
        with suppress(OSError):  # Orthanc, and where a block failed the node
            os.killpg(ran.pid, signal.SIGTERM)
            time.sleep(3)
        shutil.rmtree(home, ignore_errors=True)
    seconds = time.monotonic() - began
    print(f"--- {seconds:.0f} seconds, of {LONGEST:.0f}")
    if code or seconds > LONGEST:
        sys.exit(f"the page does not hold: exit code {code}, {seconds:.0f} s")


if __name__ == "__main__":
    main()
