"""Segments know since when their newest row is visible: compaction makes files anew, not evidence."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("segments", sa.Column("newest", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute("UPDATE segments SET newest = since")
