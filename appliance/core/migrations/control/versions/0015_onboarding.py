"""Who a tenant is by post, what came of a credential's first tries, and when domains were looked at."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def number(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default=sa.text("0"))


def words(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=False, server_default=sa.text("''"))


def upgrade() -> None:
    for name in ("organisation", "country", "postal_address"):
        op.add_column("tenant", words(name))
    op.create_table(
        "credential_trial",
        sa.Column("credential_id", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("tenant_id", sa.BigInteger, nullable=False),
        number("changed_at"),
        number("signed_in_at"),
        words("address"),
        words("tls"),
        number("refused_at"),
        words("refused_sender"),
        words("refused_words"),
        number("accepted_at"),
        number("message_id"),
        number("delivered_at"),
        sa.PrimaryKeyConstraint("credential_id", name="pk_credential_trial"),
        sa.ForeignKeyConstraint(
            ["credential_id"],
            ["credential.id"],
            name="fk_credential_trial_credential_id_credential",
        ),
    )
    op.create_index("ix_credential_trial_changed_at", "credential_trial", ["changed_at"])
    op.create_index("ix_domain_checked_at", "domain", ["checked_at"])
    # What was used before has had its first message.
    op.execute(
        "INSERT INTO credential_trial (credential_id, tenant_id, signed_in_at, accepted_at, delivered_at)"
        " SELECT id, tenant_id, last_used_at, last_used_at, last_used_at FROM credential"
        " WHERE last_used_at > 0"
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup from before the upgrade")
