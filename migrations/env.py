"""Run by alembic. `idp.schema` hands over the connection, inside a transaction that it commits itself."""

from alembic import context

from idp.models import Base

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("migrations are run through idp.schema, which holds the lock and the transaction")

context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    # SQLite cannot alter most things in place: alembic copies the table then.
    render_as_batch=True,
    compare_type=True,
    compare_server_default=True,
    # The store's own table may live in the same PostgreSQL database; it is not ours to change.
    include_name=lambda name, kind, _parents: kind != "table" or name in Base.metadata.tables,
)
with context.begin_transaction():
    context.run_migrations()
