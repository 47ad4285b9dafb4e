"""The first tables of control.db: tenancy, credentials, domains, suppressions, operations, limits."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
PARTS = ("tenants", "credentials", "domains", "suppressions", "operations")


def number(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def words(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=False)


def flag(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Boolean, nullable=False)


def own_id(table: str) -> tuple[sa.Column[Any], sa.PrimaryKeyConstraint]:
    return sa.Column("id", ID, nullable=False), sa.PrimaryKeyConstraint("id", name=f"pk_{table}")


def refers(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_{column}_{other}"
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=name)


def partial_unique(name: str, table: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(
        name, table, columns, unique=True, sqlite_where=condition, postgresql_where=condition
    )


def upgrade() -> None:
    generation()
    tenancy()
    credentials()
    domains()
    suppressions()
    operations()
    limits()


def generation() -> None:
    table = op.create_table(
        "generation",
        words("part"),
        number("value"),
        sa.PrimaryKeyConstraint("part", name="pk_generation"),
    )
    op.bulk_insert(table, [{"part": part, "value": 0} for part in PARTS])


def tenancy() -> None:
    table = op.create_table(
        "tenant",
        *own_id("tenant"),
        words("name"),
        sa.Column("weight", sa.Integer, nullable=False),
        number("recipients_per_day"),
        number("suspended_at"),
        words("suspended_reason"),
        number("created_at"),
        sa.UniqueConstraint("name", name="uq_tenant_name"),
    )
    box = {"id": 0, "name": "box", "weight": 1, "recipients_per_day": 0}
    op.bulk_insert(table, [{**box, "suspended_at": 0, "suspended_reason": "", "created_at": 0}])
    op.create_table(
        "audit",
        *own_id("audit"),
        number("at"),
        number("tenant_id"),
        words("by"),
        words("action"),
        words("record"),
        words("detail"),
        refers("audit", "tenant_id", "tenant"),
    )
    op.create_index("ix_audit_tenant", "audit", ["tenant_id", "id"])


def credentials() -> None:
    op.create_table(
        "credential",
        *own_id("credential"),
        number("tenant_id"),
        words("name"),
        words("policy"),
        number("created_at"),
        number("revoked_at"),
        number("last_used_at"),
        words("last_used_from"),
        number("usual_per_hour"),
        refers("credential", "tenant_id", "tenant"),
    )
    partial_unique("uq_credential_name", "credential", ["tenant_id", "name"], "revoked_at = 0")
    op.create_table(
        "login",
        words("username"),
        number("credential_id"),
        number("tenant_id"),
        sa.Column("secret_hash", sa.LargeBinary, nullable=False),
        number("created_at"),
        number("expires_at"),
        sa.PrimaryKeyConstraint("username", name="pk_login"),
        refers("login", "credential_id", "credential"),
        refers("login", "tenant_id", "tenant"),
    )
    op.create_index("ix_login_credential_id", "login", ["credential_id"])


def domains() -> None:
    op.create_table(
        "domain",
        *own_id("domain"),
        number("tenant_id"),
        words("name"),
        flag("is_default"),
        words("token"),
        number("verified_at"),
        words("return_path"),
        flag("return_path_verified"),
        flag("has_dmarc"),
        words("return_path_mode"),
        words("checks"),
        number("checked_at"),
        number("created_at"),
        sa.UniqueConstraint("tenant_id", "name", name="uq_domain_tenant_id_name"),
        refers("domain", "tenant_id", "tenant"),
    )
    partial_unique("uq_domain_verified", "domain", ["name"], "verified_at > 0")
    partial_unique("uq_domain_default", "domain", ["tenant_id"], "is_default")
    op.create_table(
        "domain_key",
        *own_id("domain_key"),
        number("domain_id"),
        number("tenant_id"),
        words("selector"),
        words("algorithm"),
        words("private_key"),
        words("public_key"),
        words("state"),
        number("created_at"),
        number("updated_at"),
        number("withdraw_at"),
        sa.UniqueConstraint("domain_id", "selector", name="uq_domain_key_domain_id_selector"),
        refers("domain_key", "domain_id", "domain"),
        refers("domain_key", "tenant_id", "tenant"),
        sqlite_autoincrement=True,
    )


def suppressions() -> None:
    op.create_table(
        "suppression",
        *own_id("suppression"),
        number("tenant_id"),
        words("target"),
        words("reason"),
        words("event_id"),
        number("created_at"),
        number("expires_at"),
        number("removed_at"),
        number("generation"),
        sa.UniqueConstraint("tenant_id", "target", name="uq_suppression_tenant_id_target"),
        refers("suppression", "tenant_id", "tenant"),
    )
    op.create_index("ix_suppression_generation", "suppression", ["generation", "id"])
    op.create_table(
        "applied_event",
        words("event_id"),
        number("at"),
        sa.PrimaryKeyConstraint("event_id", name="pk_applied_event"),
    )
    op.create_index("ix_applied_event_at", "applied_event", ["at"])
    op.create_table(
        "soft_bounce",
        number("tenant_id"),
        words("address"),
        sa.Column("count", sa.Integer, nullable=False),
        number("first_at"),
        number("last_at"),
        sa.PrimaryKeyConstraint("tenant_id", "address", name="pk_soft_bounce"),
        refers("soft_bounce", "tenant_id", "tenant"),
    )


def operations() -> None:
    table = op.create_table(
        "kill_switch",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        flag("is_on"),
        words("by"),
        number("at"),
        words("reason"),
        sa.PrimaryKeyConstraint("id", name="pk_kill_switch"),
    )
    op.bulk_insert(table, [{"id": 1, "is_on": False, "by": "", "at": 0, "reason": ""}])
    selectors = ("tenant_id", "domain", "credential_id", "site")
    op.create_table(
        "pause",
        *own_id("pause"),
        number("tenant_id"),
        words("domain"),
        number("credential_id"),
        words("site"),
        words("reason"),
        words("by"),
        number("at"),
        sa.UniqueConstraint(*selectors, name="uq_pause_" + "_".join(selectors)),
        refers("pause", "tenant_id", "tenant"),
        sqlite_autoincrement=True,
    )


def limits() -> None:
    op.create_table(
        "budget",
        words("key"),
        number("window"),
        number("used"),
        number("granted"),
        sa.PrimaryKeyConstraint("key", "window", name="pk_budget"),
    )
    op.create_table(
        "login_failure",
        words("key"),
        number("window"),
        number("total"),
        sa.PrimaryKeyConstraint("key", "window", name="pk_login_failure"),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup from before the upgrade")
