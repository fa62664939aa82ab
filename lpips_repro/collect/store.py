"""The database of a study: SQLite in a file, or PostgreSQL by its URL."""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.orm import Session

from lpips_repro.collect.refusal import Refusal
from lpips_repro.errors import UserError

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_SECONDS = 30  # that a process waits for another one that writes to the same SQLite file
SQLITE, POSTGRESQL = "sqlite", "postgresql"
CONNECTIONS = 20  # that are kept open

T = TypeVar("T")
Waiting = tuple[Callable[[Session], Any], Future]


class Store:
    """Sessions of SQLAlchemy over one database, whose tables are brought up to date at first.

    Args:
        url: `sqlite:///FILE`, or `postgresql://USER:PASSWORD@HOST/DATABASE`.

    Raises:
        UserError: if the database cannot be opened.
    """

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        self._is_sqlite = self.engine.dialect.name == SQLITE
        # In SQLite, those that wait sleep and try again, some of them for long: a lock lets one in after the other.
        self._one_writer = threading.Lock() if self._is_sqlite else contextlib.nullcontext()
        self._threads = ThreadPoolExecutor(1 if self._is_sqlite else CONNECTIONS, "writer")
        self._waiting: deque[Waiting] = deque()
        try:
            with self.engine.begin() as connection:
                migrate(connection)
        except OperationalError as error:
            where = self.engine.url.render_as_string(hide_password=True)
            raise UserError(f"database={where}: cannot be opened ({_first_line(error)}): check the address") from error

    @contextlib.contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that writes: it is on the disk at the end of the block, or leaves no trace."""
        with self._one_writer, Session(self.engine) as session, session.begin():
            session.connection()  # begin now, not at the first statement
            yield session

    def write_soon(self, work: Callable[[Session], T]) -> Future[T]:
        """Call `work` in a transaction that writes. Its result is there once the transaction is on the disk.

        In SQLite, what waits goes into one transaction, for which the disk is waited for once. PostgreSQL does so with
        transactions of its own. A Refusal must come before the first change.
        """
        future: Future[T] = Future()
        self._waiting.append((work, future))
        self._threads.submit(self._write_waiting)
        return future

    def _write_waiting(self) -> None:
        group: list[Waiting] = []
        with contextlib.suppress(IndexError):  # no more are waiting
            while self._is_sqlite or not group:
                work, future = self._waiting.popleft()
                if future.set_running_or_notify_cancel():
                    group.append((work, future))
        if not group:
            return
        try:
            with self.write() as session:
                results = [_result(work, session) for work, _ in group]
        except Exception as error:
            results = [error] * len(group)
        for (_, future), result in zip(group, results, strict=True):
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

    @contextlib.contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that only reads, and waits for no writer."""
        with Session(self.engine.execution_options(begins="DEFERRED")) as session, session.begin():
            yield session

    def close(self) -> None:
        """Write what waits, and close all connections."""
        self._threads.shutdown()
        self.engine.dispose()


def _result(work: Callable[[Session], T], session: Session) -> T | Refusal:
    try:
        return work(session)
    except Refusal as refusal:
        return refusal


def migrate(connection: Connection, revision: str = "head") -> None:
    """Bring the tables to a revision of `migrations/versions`."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise UserError(f"database={url}: expected sqlite:///FILE or postgresql://USER@HOST/DATABASE") from error
    backend = parsed.get_backend_name()
    if backend == POSTGRESQL:
        return create_engine(parsed.set(drivername="postgresql+psycopg"), pool_size=CONNECTIONS, pool_pre_ping=True)
    if backend != SQLITE or not parsed.database or parsed.database == ":memory:":
        where = parsed.render_as_string(hide_password=True)
        raise UserError(f"database={where}: expected sqlite:///FILE or postgresql://USER@HOST/DATABASE")
    Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, pool_size=CONNECTIONS, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: object, _: object) -> None:
    connection.isolation_level = None  # type: ignore[attr-defined]  # or sqlite3 begins transactions of its own
    cursor = connection.cursor()  # type: ignore[attr-defined]
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """Take the lock of writers at once: one that has read before it writes could not be given it later."""
    connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get('begins', 'IMMEDIATE')}")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
