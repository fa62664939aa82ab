"""The database: durable, migrated, and refused in one line if it cannot be opened."""

import logging
import sqlite3
import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError

from lpips_repro.collect.models import Base
from lpips_repro.collect.refusal import Refusal
from lpips_repro.collect.store import Store
from lpips_repro.errors import UserError


@pytest.fixture
def store(tmp_path):
    opened = Store(f"sqlite:///{tmp_path}/study.db")
    yield opened
    opened.close()


def check_tables(store: Store) -> None:
    with store.engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_the_revisions_make_the_tables_of_the_models(store):
    check_tables(store)


def test_opening_a_database_logs_nothing(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        Store(f"sqlite:///{tmp_path / 'new.sqlite'}").close()
    assert not caplog.records


def test_sqlite_writes_to_the_disk_at_every_commit(store):
    with store.read() as session:
        pragmas = {name: session.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous")}
        assert pragmas == {"journal_mode": "wal", "synchronous": 2}


def test_a_writer_locks_out_other_writers_from_its_beginning_and_no_readers(store, tmp_path):
    other = sqlite3.connect(tmp_path / "study.db", timeout=0)
    with store.write():
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("INSERT INTO alembic_version VALUES ('x')")
        with store.read() as reader:
            assert reader.scalar(text("SELECT count(*) FROM studies")) == 0
    other.close()


def test_an_error_leaves_no_trace(store):
    with pytest.raises(ZeroDivisionError), store.write() as session:
        session.execute(text("INSERT INTO studies VALUES (1, 'a', 'human', '', '{}', 0)"))
        raise ZeroDivisionError
    with store.read() as session:
        assert session.scalar(text("SELECT count(*) FROM studies")) == 0


@pytest.mark.parametrize("url", ["study.db", "mysql://me:secret@host/x", "sqlite://", "sqlite:///:memory:"])
def test_other_databases_are_refused(url):
    with pytest.raises(UserError, match=r"^database=.*expected sqlite:///FILE or postgresql://") as error:
        Store(url)
    assert "secret" not in str(error.value)


def test_a_database_that_cannot_be_opened_is_named_without_its_password(tmp_path):
    with pytest.raises(UserError, match=r"^database=postgresql\+psycopg://me:\*\*\*@127.0.0.1:1/x: cannot be opened"):
        Store("postgresql://me:secret@127.0.0.1:1/x")


def test_what_waits_is_written_in_one_transaction_and_a_refusal_is_that_of_its_own_request(store):
    commits, free = [], threading.Event()
    event.listen(store.engine, "commit", lambda _: commits.append(1))

    def add(number):
        def work(session):
            if number == 2:
                raise Refusal(409, "two")
            session.execute(text(f"INSERT INTO studies VALUES ({number}, '{number}', 'human', '', '{{}}', 0)"))
            return number

        return work

    first = store.write_soon(lambda _: free.wait(10))
    others = [store.write_soon(add(number)) for number in range(5)]
    free.set()
    assert first.result()
    assert [one.result() for one in others if one is not others[2]] == [0, 1, 3, 4]
    with pytest.raises(Refusal, match="two"):
        others[2].result()
    with store.read() as session:
        assert session.scalars(text("SELECT id FROM studies ORDER BY id")).all() == [0, 1, 3, 4]
    assert len(commits) <= 4  # of the first, of the others, and of the reading


def test_nothing_is_confirmed_if_the_transaction_fails(store):
    free = threading.Event()
    store.write_soon(lambda _: free.wait(10))
    insert = text("INSERT INTO studies VALUES (1, 'a', 'human', '', '{}', 0)")
    both = [store.write_soon(lambda session: session.execute(insert) and None) for _ in range(2)]
    free.set()
    for one in both:
        with pytest.raises(IntegrityError):
            one.result()
    with store.read() as session:
        assert session.scalar(text("SELECT count(*) FROM studies")) == 0
