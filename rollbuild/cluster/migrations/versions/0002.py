"""Where the file of a saved VM is."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("vms", sa.Column("saved", sa.Text(), server_default="", nullable=False))
