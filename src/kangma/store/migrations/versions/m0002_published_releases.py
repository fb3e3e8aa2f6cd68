"""Releases know their place in the log, and whether they are public."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # What was released before there was a log has nothing to announce.
    op.add_column("releases", sa.Column("tree_size", sa.BigInteger(), nullable=True))
    op.add_column("releases", sa.Column("tree_root", sa.String(length=64), nullable=True))
    op.add_column("releases", sa.Column("announced", sa.Boolean(), nullable=False, server_default=sa.true()))
