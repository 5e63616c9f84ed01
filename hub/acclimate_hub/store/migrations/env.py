"""Runs the migrations on the connection that ``Database.migrate`` gives, in its transaction."""

from alembic import context

from acclimate_hub.store import tables

context.configure(
    connection=context.config.attributes["connection"], target_metadata=tables.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
