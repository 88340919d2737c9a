"""Runs the migrations on the connection, and in the transaction, that `engine.store.schema` hands over."""

from alembic import context

from engine.store.schema import VERSION_TABLE
from engine.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,  # SQLite alters a table by copying it
)
context.run_migrations()
