"""The audit as an auditor uses it: sealed, checked, searched, taken out, counted and kept for a time.

`idp.events` writes it. Here nothing changes a row: `sealing` makes each a leaf of a Merkle log with signed
checkpoints, `checking` computes all of it again, `searching` finds rows and `formats` writes them out, `figures` adds
up a month, `keeping` takes what is too old and remembers what the log needs to verify without it.

Not here: pages and commands (`views/`, `cli/audit.py`), and who may see what: an organisation's view is
`Filter.client_ids`, set by whoever knows the organisation.

Spec: RFC 9162, section 2.1 (hashing); RFC 7515 (signatures). What an auditor needs to check the log with a tool of
their own is in docs/audit.md.
"""

from idp.admin.audit.checking import Check, Finding
from idp.admin.audit.figures import Report, count_days, report
from idp.admin.audit.formats import Format, written
from idp.admin.audit.keeping import Month, cut, make_partitions
from idp.admin.audit.sealing import SEAL_EVERY_S, LogDamaged, Sealing
from idp.admin.audit.searching import BadSearch, Filter, Page, catalogue, export, search
from idp.admin.audit.signing import LogSigner, LogVerifier, latest_checkpoint, public_keys

__all__ = [
    "SEAL_EVERY_S",
    "BadSearch",
    "Check",
    "Filter",
    "Finding",
    "Format",
    "LogDamaged",
    "LogSigner",
    "LogVerifier",
    "Month",
    "Page",
    "Report",
    "Sealing",
    "catalogue",
    "count_days",
    "cut",
    "export",
    "latest_checkpoint",
    "make_partitions",
    "public_keys",
    "report",
    "search",
    "written",
]
