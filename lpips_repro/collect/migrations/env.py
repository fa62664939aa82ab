"""How Alembic runs the revisions: on the connection that `store.migrate` gives."""

from alembic import context

from lpips_repro.collect.models import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
