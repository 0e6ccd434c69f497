"""`node.toml`: what is said is taken, what is not known or cannot work is refused with its name."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from cxredge.errors import Code, UsageError
from cxredge.node.config import Limits, NodeConfig, read_config

WHOLE = """
spool = "spool"

[receiver]
ae_title = "READER ROOM"
address = "::1"
port = 104
clients_need_certificates = true
[receiver.tls]
certificate = "node.crt"
key = "/keys/node.key"
ca = "hospital.pem"

[[sender]]
ae_title = "MODALITY1"
addresses = ["10.1.2.3", "10.2.0.0/16", "2001:db8::/32"]
order = "stat"
[[sender]]
ae_title = "HERE"

[[destination]]
name = "pacs"
ae_title = "PACS"
host = "pacs.example"
port = 11112
objects = ["sc", "sr"]
[[destination]]
name = "web"
url = "https://pacs.example/dicom-web"
bearer_token_file = "token"
objects = ["sr", "seg"]

[model]
bundle = "our.cxr"
engine = "openvino"

[workers]
count = 2

[limits]
idle_s = 30
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "node.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_whole_file(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, WHOLE))
    assert config.spool == tmp_path / "spool"
    tls = config.receiver.tls
    assert tls is not None
    assert (tls.certificate, tls.key, tls.ca) == (
        tmp_path / "node.crt",
        Path("/keys/node.key"),
        tmp_path / "hospital.pem",
    )
    assert config.model.bundle == tmp_path / "our.cxr"
    assert config.destinations[1].bearer_token_file == tmp_path / "token"
    assert config.kinds() == ("sr", "seg", "sc")  # in their own order, each once
    assert config.limits == Limits(idle_s=30)
    networks = config.senders[0].networks()
    assert ipaddress.ip_address("10.2.255.1") in networks[1]
    assert ipaddress.ip_address("10.1.2.3") in networks[0]
    assert ipaddress.ip_address("10.1.2.4") not in networks[0]
    assert all(network.is_loopback for network in config.senders[1].networks())


def test_what_is_not_said_is_safe(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, 'spool = "/srv/spool"'))
    assert config == NodeConfig(spool=Path("/srv/spool"))
    assert config.receiver.address == "127.0.0.1"
    assert config.senders == ()
    assert config.kinds() == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "spool"),
        ('spool = ""', "path"),
        ('spool = "s"\nspoool = 1', "spoool"),
        ('spool = "s"\n[limits]\nidle = 3', "idle"),
        ('spool = "s"\n[limits]\nidle_s = "x"', "idle_s"),
        ('spool = "s"\n[limits]\nidle_s = 0', "above 0"),
        ('spool = "s"\n[limits]\npdu_bytes = 100', "16384"),
        ('spool = "s"\n[limits]\nconnections = 0', "1 or more"),
        ('spool = "s"\n[workers]\nmemory_mb = 10', "512"),
        ('spool = "s"\n[metrics]\nport = 70000', "65535"),
        ('spool = "s"\n[receiver]\nport = 0', "65535"),
        ('spool = "s"\n[receiver]\nae_title = ""', "AE title"),
        ('spool = "s"\n[receiver]\nae_title = "A2345678901234567"', "AE title"),
        ('spool = "s"\n[receiver]\nae_title = "A\\\\B"', "AE title"),
        ('spool = "s"\n[receiver.tls]\ncertificate = "c"', "certificate and key"),
        ('spool = "s"\n[receiver.tls]\ncertificate = "c"\nkey = "k"', "ca is needed"),
        ('spool = "s"\n[[sender]]\nae_title = "A"\naddresses = ["300.1.1.1"]', "300.1.1.1"),
        ('spool = "s"\n[[sender]]\nae_title = "A"\norder = "first"', "order"),
        ('spool = "s"\n[[destination]]\nname = "../x"', "name"),
        ('spool = "s"\n[[destination]]\nname = "a"', "ae_title, host and port"),
        ('spool = "s"\n[[destination]]\nname = "a"\nurl = "ftp://x"', "https://"),
        ('spool = "s"\n[[destination]]\nname = "a"\nurl = "https://x"\nport = 1', "not both"),
        ('spool = "s"\n[[destination]]\nname = "a"\nurl = "https://"', "name a host"),
        ('spool = "s"\n[[destination]]\nname = "a"\nurl = "http://pacs"\ntls = {}', "https://"),
        ('spool = "s"\n[[destination]]\nname = "a"\nurl = "http://pacs"\nbearer_token_file = "t"', "https:// alone"),
        (
            'spool = "s"\n[[destination]]\nname = "a"\nae_title = "A"\nhost = "h"\nport = 1\nbearer_token_file = "t"',
            "belongs to a url",
        ),
        ('spool = "s"\n[[destination]]\nname = "a"\nurl = "https://x"\ngive_up_after_hours = 0', "above 0"),
        ('spool = "s"\n[retention]\nimages_days = -1', "0 or more"),
        ('spool = "s"\n[[destination]]\nname = "a"\nurl = "https://x"\nobjects = []', "objects"),
        ('spool = "s"\n[[destination]]\nname = "a"\nurl = "https://x"\nobjects = ["ct"]', "objects"),
        ('spool = "s"\n' + '[[destination]]\nname = "a"\nurl = "https://x"\n' * 2, "same name"),
        ("spool = [", "node.toml"),
        ("\0", "node.toml"),
    ],
)
def test_what_cannot_work_is_named(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"node\.toml") as caught:
        read_config(written(tmp_path, text))
    assert caught.value.code is Code.NODE_CONFIG
    assert said in str(caught.value)


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.toml", tmp_path):
        with pytest.raises(UsageError) as caught:
            read_config(path)
        assert caught.value.code is Code.NODE_CONFIG
    (tmp_path / "node.toml").write_bytes(b'spool = "\xff\xfe"')
    with pytest.raises(UsageError, match=r"node\.toml"):
        read_config(tmp_path / "node.toml")
