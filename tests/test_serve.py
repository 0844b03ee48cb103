"""What `idp serve` asks of the system before it serves."""

from __future__ import annotations

import logging
import resource

import pytest

from idp import serve

Limits = tuple[int, int]


class System:
    """What the system allows: a soft and a hard limit, and whether it keeps to its word."""

    def __init__(self, soft: int, hard: int, *, refuses: bool = False) -> None:
        self.limits = (soft, hard)
        self.refuses = refuses

    def get(self, _what: int) -> Limits:
        return self.limits

    def set(self, _what: int, limits: Limits) -> None:
        if self.refuses:
            raise ValueError("not allowed to raise maximum limit")
        self.limits = limits


def warned(system: System, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> str:
    monkeypatch.setattr(resource, "getrlimit", system.get)
    monkeypatch.setattr(resource, "setrlimit", system.set)
    with caplog.at_level(logging.WARNING, "idp"):
        serve.allow_files()
    return caplog.text


def test_as_many_files_may_be_open_as_the_system_allows(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    system = System(1024, 524_288)
    assert warned(system, monkeypatch, caplog) == ""
    assert system.limits == (524_288, 524_288)


def test_a_small_limit_is_said_with_what_it_means(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    said = warned(System(1024, 4096), monkeypatch, caplog)
    assert "no more than 4096 files" in said
    assert "no more than 2596 pages" in said
    assert "LimitNOFILE" in said


def test_a_system_that_does_not_keep_to_its_word_is_believed_no_further(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    system = System(256, resource.RLIM_INFINITY, refuses=True)
    assert "no more than 256 files" in warned(system, monkeypatch, caplog)
    assert system.limits == (256, resource.RLIM_INFINITY)
