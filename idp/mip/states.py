"""Where a transaction stands, and what it may hear there: one table.

The six numbers are the protocol's (`trxStsCode`). A step that is not in the table is out of order: the app hears
10201 and nothing changes. Three rows are ours to choose, since the specification leaves them open:

- A profile may be asked for again, and is the same (decision D9): a phone that lost the network repeats itself.
- A presentation that did not verify leaves the transaction where it was. Whoever saw the QR code can send one, and
  the holder must still be able to answer.
- After an error of the app's (0005) the profile may be asked for again: whoever cancelled may scan the code again.
  Whether the login still waits is the login's to say.

Source: the sample verifiers' `trxStsCode`; message specification 1.8.0, sections 2.3 to 2.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from idp.mip.errors import SEQUENCE, MessageRefused


class Status(StrEnum):
    """`trxStsCode`."""

    REQUESTED = "0001"
    PROFILE = "0002"
    VERIFYING = "0003"
    VERIFIED = "0004"
    FAILED = "0005"
    CHECKED = "0006"


class Step(StrEnum):
    """What happens to a transaction: a message of the app's, or what became of one."""

    M310 = "310"
    M320 = "320"
    M400 = "400"
    M900 = "900"
    VALID = "valid"
    NOT_TAKEN = "not taken"
    LAID = "laid beside the login"


TABLE: Final[Mapping[tuple[Status, Step], Status]] = {
    (Status.REQUESTED, Step.M310): Status.PROFILE,
    (Status.REQUESTED, Step.M320): Status.REQUESTED,
    (Status.REQUESTED, Step.M900): Status.FAILED,
    (Status.PROFILE, Step.M310): Status.PROFILE,
    (Status.PROFILE, Step.M320): Status.PROFILE,
    (Status.PROFILE, Step.M400): Status.VERIFYING,
    (Status.PROFILE, Step.M900): Status.FAILED,
    (Status.VERIFYING, Step.M320): Status.VERIFYING,
    (Status.VERIFYING, Step.M900): Status.FAILED,
    (Status.VERIFYING, Step.VALID): Status.VERIFIED,
    (Status.VERIFYING, Step.NOT_TAKEN): Status.PROFILE,
    (Status.VERIFIED, Step.M900): Status.VERIFIED,
    (Status.VERIFIED, Step.LAID): Status.CHECKED,
    (Status.VERIFIED, Step.NOT_TAKEN): Status.PROFILE,
    (Status.FAILED, Step.M310): Status.PROFILE,
    (Status.FAILED, Step.M320): Status.FAILED,
    (Status.FAILED, Step.M900): Status.FAILED,
    (Status.CHECKED, Step.M900): Status.CHECKED,
}


def after(status: Status, step: Step) -> Status:
    """Where a step leads. Raises MessageRefused 10201 for one that is out of order."""
    try:
        return TABLE[status, step]
    except KeyError:
        raise MessageRefused(SEQUENCE, f"{step} in {status}") from None
