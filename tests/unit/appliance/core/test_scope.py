"""Scope: what a statement is narrowed to, and for whom a row may be written."""

from __future__ import annotations

import pytest
from sqlalchemy import BigInteger, Column, MetaData, Table, delete, select, update

from appliance.core.errors import UsageError
from appliance.core.scope import Scope, scoped

table = Table("thing", MetaData(), Column("tenant_id", BigInteger), Column("id", BigInteger))


@pytest.mark.parametrize("statement", [select(table), update(table).values(id=1), delete(table)])
def test_a_tenants_statement_names_its_tenant(statement):
    narrowed = scoped(statement, table, Scope.tenant(7))
    assert "thing.tenant_id = 7" in str(narrowed.compile(compile_kwargs={"literal_binds": True}))


def test_the_systems_statement_is_left_alone():
    statement = select(table)
    assert scoped(statement, table, Scope.system()) is statement


def test_the_box_is_no_tenant():
    with pytest.raises(ValueError, match="system scope"):
        Scope.tenant(0)


def test_a_tenant_writes_for_itself_only():
    assert Scope.tenant(7).owner() == 7
    assert Scope.tenant(7).owner(7) == 7
    with pytest.raises(UsageError):
        Scope.tenant(7).owner(8)


def test_the_system_says_for_whom_it_writes():
    assert Scope.system().owner(8) == 8
    with pytest.raises(UsageError):
        Scope.system().owner()
