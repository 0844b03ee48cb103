"""What a portal would get, and what the holder would see, by the code that makes both in earnest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from flask import Blueprint, Response, g, request

from idp import consent
from idp.admin import trials
from idp.admin.people import Act, Administrator
from idp.admin.samples import SAMPLES, Sample
from idp.claims import CLAIMS
from idp.errors import AuthorizationError, RequestError
from idp.login import AuthorizationRequest
from idp.oidc.preview import Shown
from idp.portals import AUTHORIZATION_CODE, Registration
from idp.presentation.question import NoCredentialType
from idp.views import reasons
from idp.views.console.desk import Desk
from idp.views.console.engineer import known
from idp.views.console.trying import pretty
from idp.views.frame import see_other
from idp.views.holder import consent_page

_LIMITS = {"scope": 1024, "claims": 4096, "claims_locales": 64, "person": 16, "agreed": 512}
_ALL = "*"


@dataclass(frozen=True)
class Case:
    """One preview: the portal, what it asks, of whom, and what that person agrees to."""

    portal: Registration
    asked: AuthorizationRequest
    sample: Sample
    agreement: consent.Agreement

    @property
    def missing(self) -> list[str]:
        """What the portal requires and this credential does not have: the sign-in would be refused."""
        required = [claim.name for claim in consent.asked_claims(self.portal, self.asked) if claim.required]
        return [name for name in required if CLAIMS[name].value(self.sample.claims) is None]

    def released(self, agreed: str) -> tuple[str, ...]:
        """The names to release: all that is on the page, or what was ticked there."""
        ticked = self.agreement.offered() if agreed == _ALL else agreed.split()
        must = [claim.name for claim in self.agreement.to_ask if claim.required]
        return self.agreement.agree({*ticked, *must})


class PreviewPages:
    """`/console/portals/<client_id>/preview` and `…/preview/consent`."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.house = desk.house
        self.issuer = desk.frame.settings.issuer

    def add_to(self, door: Blueprint) -> None:
        guarded, rule = self.desk.guarded, door.add_url_rule
        rule("/portals/<client_id>/preview", "preview", guarded(Act.SEE_PORTALS, self.preview))
        path = "/portals/<client_id>/preview/consent"
        rule(path, "preview_consent", guarded(Act.SEE_PORTALS, self.consent))
        rule(path, "preview_decided", guarded(Act.SEE_PORTALS, self.decided), methods=["POST"])

    def preview(self, admin: Administrator, client_id: str) -> Response:
        portal = known(admin, client_id)
        given = _given(portal)
        try:
            case = self._case(portal, given)
        except (AuthorizationError, RequestError) as error:
            check = error.mismatch.check if error.mismatch is not None else ""
            said = getattr(error, "description", error.reason)
            return self._page(portal, given, status=400, problem=reasons.REASONS.get(check), said=said)
        return self._page(portal, given, **self._shown(case, given))

    def consent(self, admin: Administrator, client_id: str) -> Response:
        """The holder's own page; its buttons lead back to the preview, with what was ticked."""
        portal = known(admin, client_id)
        given = _given(portal)
        try:
            case = self._case(portal, given)
        except (AuthorizationError, RequestError):
            return see_other(_path(portal, given))
        return consent_page(
            self.desk.frame,
            portal,
            case.agreement,
            case.sample.claims,
            form_url=_path(portal, given, "/consent"),
            csrf=g.console_csrf,
        )

    def decided(self, admin: Administrator, client_id: str) -> Response:
        portal = known(admin, client_id)
        given = _given(portal)
        if request.form.get("decision") != "agree":
            return see_other(_path(portal, {**given, "agreed": "refused"}))
        ticked = [name for name in request.form.getlist("item") if name in CLAIMS or name == consent.OFFLINE]
        return see_other(_path(portal, {**given, "agreed": " ".join(ticked) or "-"}))

    def _case(self, portal: Registration, given: Mapping[str, str]) -> Case:
        """Raises AuthorizationError, RequestError: as the portal would hear it."""
        asking = msgspec.structs.replace(
            portal,
            redirect_uris=(f"{self.issuer}{trials.CALLBACK}",),
            grant_types=(*portal.grant_types, AUTHORIZATION_CODE),
            require_signed_request_object=False,
        )
        parameters = {
            "redirect_uri": asking.redirect_uris[0],
            "response_type": "code",
            "scope": given["scope"],
            "claims": given["claims"],
            "claims_locales": given["claims_locales"],
            "nonce": "n-example",
            "code_challenge": "x" * 43,
            "code_challenge_method": "S256",
        }
        asked = self.house.authorization_requests.read_pushed(
            {name: [value] for name, value in parameters.items()}, asking
        )
        sample = SAMPLES[given["person"]]
        agreed = consent.agreement(portal, asked, None).limited_to(sample.claims)
        return Case(portal, asked, sample, agreed)

    def _shown(self, case: Case, given: Mapping[str, str]) -> dict[str, Any]:
        try:
            question = self.house.question(case.portal, case.asked)
        except NoCredentialType:
            return {"said": "no credential type", "problem": reasons.REASONS["no_credential_type"]}
        sample, lang = case.sample, self.desk.frame.lang()
        types = [kind.name[lang] for kind in question.types]
        if case.missing or given["agreed"] == "refused":
            return {"types": types, "missing": case.missing}
        shown = Shown(
            sample.claims,
            sample.evidence(question.types[0].id, self.desk.clock()),
            f"{self.issuer}/acr/{sample.acr}",
            sample.amr,
        )
        agreed = case.released(given["agreed"])
        made = self.house.previews.make(case.portal, case.asked, shown, agreed)
        return {
            "types": types,
            "agreed": agreed,
            "due": case.agreement.due,
            "weak": case.portal.required_acr == "secure" and sample.acr != "secure",
            "id_token": pretty(made.id_token),
            "userinfo": pretty(made.userinfo),
        }

    def _page(
        self, portal: Registration, given: Mapping[str, str], *, status: int = 200, **shown: Any
    ) -> Response:
        lang = self.desk.frame.lang()
        nothing: dict[str, Any] = {
            "problem": None,
            "said": "",
            "types": [],
            "missing": [],
            "agreed": None,
            "due": False,
            "weak": False,
            "id_token": None,
            "userinfo": None,
        }
        return self.desk.page(
            "portal_preview.html",
            status=status,
            portal=portal,
            given=given,
            people=[(name, sample.label[lang]) for name, sample in SAMPLES.items()],
            labels={name: claim.label[lang] for name, claim in CLAIMS.items()},
            refused=given["agreed"] == "refused",
            consent_urls={code: _path(portal, given, "/consent", lang=code) for code in ("ko", "en")},
            **{**nothing, **shown},
        )


def _given(portal: Registration) -> dict[str, str]:
    given = {name: request.args.get(name, "").strip()[: most + 1] for name, most in _LIMITS.items()}
    return {
        **given,
        "scope": given["scope"] or " ".join(portal.scopes),
        "person": given["person"] if given["person"] in SAMPLES else next(iter(SAMPLES)),
        "agreed": given["agreed"] or _ALL,
    }


def _path(portal: Registration, given: Mapping[str, str], below: str = "", **more: str) -> str:
    query = urlencode({**given, **more})
    return f"/console/portals/{quote(portal.client_id, safe='')}/preview{below}?{query}"
