"""What alembic runs to migrate: the caller has the connection, in a transaction that it ends itself."""

from alembic import context

from rollbuild.cluster.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite changes a table by making another one.
    render_as_batch=True,
)
context.run_migrations()
