"""Where Alembic begins: always on the connection that `upgrade` was given."""

from __future__ import annotations

from alembic import context

from kangma.store.registry import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
# The caller's transaction goes on: a schema half made must not become visible.
context.run_migrations()
