"""The registry by HTTP: both forms of its answers, how long a document is kept, and one asker at a time."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from idp.credentials import RegistryUnavailable, multibase
from idp.opendid.registry import MAX_ANSWER_BYTES, MAX_DOCUMENTS, RETRY_S, HttpRegistry

DID = "did:omn:issuer"
BASE = "https://registry.example/api/v1"
TTL_S = 60


class NotFetched(Exception):
    """What a fetch raises here."""


class Host:
    """Where documents are fetched: what it serves, and what it was asked for."""

    def __init__(self) -> None:
        self.served: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.before: Callable[[], object] = lambda: None
        self.now = 1_000_000
        self.registry = HttpRegistry(
            self.fetch, BASE, lambda: self.now, ttl_s=TTL_S, fetch_errors=(NotFetched,)
        )

    def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        self.before()
        if url not in self.served:
            raise NotFetched(f"{url} of somebody")
        return self.served[url]

    def serve(self, path: str, document: Any) -> None:
        self.served[f"{BASE}/{path}"] = (
            document if isinstance(document, bytes) else json.dumps(document).encode()
        )


@pytest.fixture
def host() -> Host:
    return Host()


def enveloped(member: str, document: dict[str, Any]) -> dict[str, str]:
    return {member: multibase.encode(json.dumps(document).encode(), "m")}


def test_a_document_comes_out_of_its_envelope(host: Host) -> None:
    host.serve("did-doc?did=did%3Aomn%3Aissuer", enveloped("didDoc", {"id": DID}))
    assert host.registry.document(DID) == {"id": DID}


def test_a_document_may_come_without_an_envelope(host: Host) -> None:
    host.serve("did-doc?did=did%3Aomn%3Aissuer", {"id": DID})
    assert host.registry.document(DID) == {"id": DID}


def test_a_version_is_asked_for_by_its_url(host: Host) -> None:
    host.serve("did-doc?did=did%3Aomn%3Aissuer%3FversionId%3D2", {"id": DID, "versionId": "2"})
    assert host.registry.document(DID, "2")["versionId"] == "2"


def test_what_became_of_a_credential_is_asked_every_time(host: Host) -> None:
    host.serve("vc-meta?vcId=a%2Fb", enveloped("vcMeta", {"status": "ACTIVE"}))
    assert host.registry.vc_meta("a/b") == {"status": "ACTIVE"}
    host.serve("vc-meta?vcId=a%2Fb", enveloped("vcMeta", {"status": "REVOKED"}))
    assert host.registry.vc_meta("a/b") == {"status": "REVOKED"}


def test_a_document_is_kept_for_its_time_and_no_longer(host: Host) -> None:
    host.serve("did-doc?did=did%3Aomn%3Aissuer", {"id": DID, "versionId": "1"})
    host.registry.document(DID)
    host.serve("did-doc?did=did%3Aomn%3Aissuer", {"id": DID, "versionId": "2"})
    host.now += TTL_S - 1
    assert host.registry.document(DID)["versionId"] == "1"
    host.now += 1
    assert host.registry.document(DID)["versionId"] == "2"
    assert len(host.asked) == 2


def test_what_is_old_is_not_used_while_nobody_answers(host: Host) -> None:
    host.serve("did-doc?did=did%3Aomn%3Aissuer", {"id": DID})
    host.registry.document(DID)
    host.served.clear()
    host.now += TTL_S
    with pytest.raises(RegistryUnavailable):
        host.registry.document(DID)


def test_after_a_failure_nobody_asks_for_a_while(host: Host) -> None:
    for _ in range(3):
        with pytest.raises(RegistryUnavailable):
            host.registry.document(DID)
    assert len(host.asked) == 1
    host.now += RETRY_S
    host.serve("did-doc?did=did%3Aomn%3Aissuer", {"id": DID})
    assert host.registry.document(DID) == {"id": DID}


def test_one_asks_and_the_others_wait_for_it(host: Host) -> None:
    host.serve("did-doc?did=did%3Aomn%3Aissuer", {"id": DID})
    release = threading.Event()
    host.before = lambda: release.wait(10)
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(host.registry.document(DID))) for _ in range(8)]
    for thread in threads:
        thread.start()
    release.set()
    for thread in threads:
        thread.join(10)
    assert found == [{"id": DID}] * 8
    assert len(host.asked) == 1


def test_no_more_documents_are_kept_than_there_is_room_for(host: Host) -> None:
    for number in range(MAX_DOCUMENTS + 1):
        host.serve(f"did-doc?did=did%3Aomn%3A{number}", {"id": f"did:omn:{number}"})
        host.registry.document(f"did:omn:{number}")
    assert len(host.registry._slots) == MAX_DOCUMENTS


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"null",
        b"[]",
        b"<html>",
        b'{"didDoc":7}',
        b'{"didDoc":"x"}',
        b'{"didDoc":"mAAAA"}',
        b'{"a":1,"a":2}',
        b'{"a":"' + b"x" * MAX_ANSWER_BYTES + b'"}',
        json.dumps({"didDoc": "m" + "A" * (MAX_ANSWER_BYTES + 1)}).encode(),
    ],
    ids=lambda answer: answer[:16].decode(),
)
def test_an_answer_that_is_no_document_is_none(host: Host, answer: bytes) -> None:
    host.serve("did-doc?did=did%3Aomn%3Aissuer", answer)
    with pytest.raises(RegistryUnavailable) as refused:
        host.registry.document(DID)
    assert DID not in str(refused.value)


def test_a_failure_names_nobody(host: Host) -> None:
    with pytest.raises(RegistryUnavailable) as refused:
        host.registry.vc_meta("4a6ca946")
    assert str(refused.value) == "NotFetched"
    assert refused.value.__cause__ is None
