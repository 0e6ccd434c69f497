"""The binding: every status of the header is an exception with a published code, and the header travels along."""

from __future__ import annotations

import re

import pytest

from cxredge.errors import Code, CxredgeError, InputError, NativeError
from cxredge.native import check, ffi, include_dir, lib, version


def _statuses() -> list[tuple[str, int, str]]:
    header = (include_dir() / "cxredge.h").read_text(encoding="utf-8")
    found = re.findall(r'X\((CXR_\w+), (\d+), "(\w+)"', header)
    return [(name, int(number), code) for name, number, code in found]


def test_every_status_is_an_exception_with_its_code() -> None:
    statuses = _statuses()
    assert len(statuses) >= 10
    for name, number, code in statuses:
        assert getattr(lib, name) == number
        assert ffi.string(lib.cxr_status_name(number)).decode() == name
        if number == 0:
            check(number)
            continue
        with pytest.raises(CxredgeError) as caught:
            check(number)
        assert caught.value.code is Code(code)
        assert caught.value.detail


def test_statuses_of_the_pixels_are_errors_of_the_input() -> None:
    for status in (lib.CXR_ERR_LIMIT, lib.CXR_ERR_TRUNCATED, lib.CXR_ERR_EXCESS):
        with pytest.raises(InputError):
            check(status)
    with pytest.raises(NativeError) as caught:
        check(12345)
    assert caught.value.code is Code.INTERNAL


def test_library_and_header_are_of_one_version() -> None:
    header = (include_dir() / "cxredge.h").read_text(encoding="utf-8")
    assert f'#define CXR_VERSION "{version()}"' in header
    assert lib.cxr_abi() == lib.CXR_ABI
