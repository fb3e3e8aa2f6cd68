"""The registry's schema, step by step, run by Alembic from inside the package (no ini file, no command line)."""

from __future__ import annotations

import sqlalchemy as sa

from kangma.errors import Code, Refused, Where

HEAD = "0003"


def is_current(on: sa.Connection) -> bool:
    """Whether the database has the newest schema. Refused (unreadable) when it has one that came after this program."""
    if not sa.inspect(on).has_table("alembic_version"):
        return False
    version = on.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    if version is not None and str(version) > HEAD:
        raise Refused(
            Code.UNREADABLE, Where(file="registry.sqlite"), "made by a newer Kangma: nothing was changed"
        )
    return bool(version == HEAD)


def upgrade(on: sa.Connection) -> None:
    """The database behind `on` has the newest schema; part of the caller's transaction."""
    if is_current(on):
        return
    # Alembic takes a quarter of a second to import: only when there is something to do.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "kangma.store:migrations")
    config.attributes["connection"] = on
    command.upgrade(config, "head")
