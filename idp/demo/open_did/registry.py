"""A make-believe registry of DIDs: documents, and what became of credentials, by HTTP.

The lookups are those of the Open DID project's API gateway: `did-doc?did=` and `vc-meta?vcId=`, whose answers carry
the document as multibase inside JSON. It keeps no history: there is one version of each document.
"""

import threading

from flask import Blueprint, Response, jsonify, request

from idp.demo.open_did import data
from idp.demo.open_did.data import BadData, Document


class Registry:
    """Documents by DID, metadata by credential. Safe for threads."""

    def __init__(self) -> None:
        self._documents: dict[str, Document] = {}
        self._metas: dict[str, Document] = {}
        self._lock = threading.Lock()

    def register(self, document: Document) -> None:
        """Take a DID document in, or a changed one."""
        with self._lock:
            self._documents[document["id"]] = document

    def deactivate(self, did: str, *, deactivated: bool = True) -> None:
        """What a controller does after a reported loss, and takes back."""
        with self._lock:
            self._documents[did] = {**self._documents[did], "deactivated": deactivated}

    def keep(self, meta: Document) -> None:
        """Take the metadata of a credential in."""
        with self._lock:
            self._metas[meta["id"]] = meta

    def set_status(self, vc_id: str, status: str) -> None:
        """`ACTIVE`, `INACTIVE` or `REVOKED`."""
        with self._lock:
            self._metas[vc_id] = {**self._metas[vc_id], "status": status}

    def document(self, did: str) -> Document:
        """Raises BadData for a DID that is not registered here."""
        try:
            return self._documents[did]
        except KeyError:
            raise BadData("the registry does not know this DID") from None

    def meta(self, vc_id: str) -> Document:
        """Raises BadData for a credential that is not known here."""
        try:
            return self._metas[vc_id]
        except KeyError:
            raise BadData("the registry does not know this credential") from None


def blueprint(registry: Registry, certificate: Document) -> Blueprint:
    """The registry's door, `/registry/`, and the certificate VC of the provider that asks wallets."""
    doors = Blueprint("registry", __name__, url_prefix="/registry")

    @doors.get("/api/v1/did-doc")
    def did_doc() -> Response:
        did, _, version = request.args.get("did", "").partition("?versionId=")
        try:
            document = registry.document(did)
            if version not in ("", document["versionId"]):
                raise BadData("no such version")
        except BadData:
            return _refused("SSRVAGW00300", "The DID is not known.")
        return jsonify(didDoc=data.base64_text(data.canonical(document)))

    @doors.get("/api/v1/vc-meta")
    def vc_meta() -> Response:
        vc_id = request.args.get("vcId", "")
        try:
            meta = registry.meta(vc_id)
        except BadData:
            return _refused("SSRVAGW00401", "The credential is not known.")
        return jsonify(vcId=vc_id, vcMeta=data.base64_text(data.canonical(meta)))

    @doors.get("/certificate-vc")
    def certificate_vc() -> Response:
        return jsonify(certificate)

    return doors


def _refused(code: str, description: str) -> Response:
    response = jsonify(code=code, description=description)
    response.status_code = 400
    return response
