"""A release takes another's place while sign-ins go on: the database is migrated, then node after node replaced.

Twice: the release before this one, as the history of the project has it at the last commit without the newest
migration, becomes this one; and this one becomes a next one, which is this one with a migration more. In the second
a node of the earlier release is started again on the migrated database, as one that crashed in the middle would be.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

from idp import schema
from tests.deployed import PROJECT, idp
from tests.topology.house import Topology
from tests.topology.load import Ledger, Load

WITHIN_S = 60
_AFTERWARDS = 6
_MORE = '''"""One column more, which this release does not know."""

import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{head}"
branch_labels = None
depends_on = None
KIND = "expand"


def upgrade() -> None:
    op.add_column("portal", sa.Column("of_tomorrow", sa.String(16)))
    op.create_table("of_tomorrow", sa.Column("id", sa.BigInteger(), primary_key=True))


def downgrade() -> None:
    op.drop_table("of_tomorrow")
    op.drop_column("portal", "of_tomorrow")
'''


def release_before(directory: Path) -> Path:
    """The tree of the last commit that did not have this release's newest migration yet."""
    newest = next(PROJECT.glob(f"migrations/versions/{schema.head()}_*.py")).relative_to(PROJECT)
    added = _git("log", "--diff-filter=A", "--format=%H", "--", str(newest)).split()
    commit = f"{added[-1].decode()}^" if added else "HEAD"
    with tarfile.open(fileobj=io.BytesIO(_git("archive", commit, "idp", "migrations"))) as archive:
        archive.extractall(directory, filter="data")
    return directory


def next_release(directory: Path) -> Path:
    """The tree of this release with a migration more."""
    for part in ("idp", "migrations"):
        shutil.copytree(PROJECT / part, directory / part, ignore=shutil.ignore_patterns("__pycache__"))
    file = directory / "migrations/versions/9999_of_tomorrow.py"
    file.write_text(_MORE.format(head=schema.head()), "utf-8")
    return directory


def roll_out(house: Topology, load: Load, before: Path, to: Path, *, crash: bool = False) -> Ledger:
    """`idp upgrade` of the release in `to`, then its nodes and its worker; every sign-in meanwhile.

    crash: a node of the release before is started again in between.
    """
    ledger = load.fresh()
    load.go_on(_AFTERWARDS, WITHIN_S)
    idp(to, house.environment, "upgrade")
    load.go_on(ledger.finished + _AFTERWARDS, WITHIN_S)
    if crash:
        house.nodes[0].stop()
        house.nodes[0].start(before)
        load.go_on(ledger.finished + _AFTERWARDS, WITHIN_S)
    for program in (*house.nodes, house.worker):
        program.stop()
        program.start(to)
        load.go_on(ledger.finished + _AFTERWARDS, WITHIN_S)
    return ledger


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=PROJECT, capture_output=True, check=True).stdout
