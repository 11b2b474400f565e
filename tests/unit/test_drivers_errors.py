# SPDX-License-Identifier: Apache-2.0
"""The kind of a client's error, for a batch: by its classes and codes, and guessed for drivers of other packages."""

import sqlite3
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
import redis.exceptions
import requests
from bson.errors import InvalidDocument
from pymongo import errors as of_mongo
from sqlalchemy import exc as of_sql

from osprofiler.drivers import base, errors, loginsight_client, mongodb, redis_client, sql_faults, undeclared
from osprofiler.drivers.errors import RecordsRefused, StoreError, StoreUnavailable
from osprofiler.testing.records import two_spans

SECRET = "hunter2"


def lost() -> of_sql.DBAPIError:
    error = of_sql.OperationalError("INSERT", {}, Exception("gone"))
    error.connection_invalidated = True
    return error


def of_sqlite(code: int) -> of_sql.OperationalError:
    own = sqlite3.OperationalError("text")
    own.sqlite_errorcode = code  # Python has it since 3.11
    return of_sql.OperationalError("INSERT", {}, own)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (of_sql.OperationalError(None, None, OSError("connection refused")), StoreUnavailable),
        (lost(), StoreUnavailable),
        (of_sql.InterfaceError("INSERT", {}, Exception()), StoreUnavailable),
        (of_sql.TimeoutError("pool"), StoreUnavailable),
        (of_sql.InternalError("INSERT", {}, psycopg.errors.ReadOnlySqlTransaction()), StoreUnavailable),
        (of_sql.OperationalError("INSERT", {}, psycopg.errors.DiskFull()), StoreUnavailable),
        (of_sql.ProgrammingError("INSERT", {}, psycopg.errors.InsufficientPrivilege()), StoreUnavailable),
        (of_sql.OperationalError("INSERT", {}, psycopg.errors.AdminShutdown()), StoreUnavailable),
        (of_sql.OperationalError("INSERT", {}, psycopg.errors.DeadlockDetected()), StoreUnavailable),
        (of_sql.OperationalError("INSERT", {}, Exception(1290, "--read-only")), StoreUnavailable),
        (of_sql.OperationalError("INSERT", {}, Exception(1205, "lock wait timeout")), StoreUnavailable),
        (of_sqlite(5), StoreUnavailable),  # busy
        (of_sqlite(8 | 4 << 8), StoreUnavailable),  # read-only; the extended code for a moved file
        (of_sqlite(1), StoreError),
        (of_sql.OperationalError("INSERT", {}, Exception(1153, "packet too large")), StoreError),
        (of_sql.ProgrammingError("INSERT", {}, psycopg.errors.UndefinedTable()), StoreError),
        (of_sql.DataError("INSERT", {}, psycopg.errors.UntranslatableCharacter()), RecordsRefused),
        (of_sql.IntegrityError("INSERT", {}, psycopg.errors.CheckViolation()), RecordsRefused),
        (of_sql.OperationalError("INSERT", {}, Exception(4025, "CONSTRAINT failed")), RecordsRefused),
        (of_sql.StatementError("text", "INSERT", {}, ValueError("cannot be bound")), RecordsRefused),
        (OSError(), StoreUnavailable),
        (TypeError(), RecordsRefused),
        (RuntimeError(), StoreError),
    ],
)
def test_errors_of_sqlalchemy(error: Exception, kind: errors.Kind) -> None:
    assert sql_faults.kind_of(error) is kind


_IN_PIPELINE = 'Command # 1 (LPUSH key {"info": " of pipeline"}) of pipeline caused error: '


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (redis.exceptions.ConnectionError(), StoreUnavailable),
        (redis.exceptions.AuthenticationError(), StoreUnavailable),
        (redis.exceptions.BusyLoadingError(), StoreUnavailable),
        (redis.exceptions.TimeoutError(), StoreUnavailable),
        (redis.exceptions.ReadOnlyError(), StoreUnavailable),
        (redis.exceptions.NoPermissionError(), StoreUnavailable),
        (redis.exceptions.ClusterDownError("CLUSTERDOWN"), StoreUnavailable),
        (redis.exceptions.RedisClusterException(), StoreUnavailable),
        (redis.exceptions.TryAgainError(), StoreUnavailable),
        (redis.exceptions.ResponseError("MISCONF Redis is configured to save"), StoreUnavailable),
        (redis.exceptions.ResponseError(f"{_IN_PIPELINE}OOM command not allowed"), StoreUnavailable),
        (redis.exceptions.ResponseError(f"{_IN_PIPELINE}WRONGTYPE Operation against a key"), RecordsRefused),
        (redis.exceptions.DataError(), RecordsRefused),
        (redis.exceptions.ResponseError("ERR wrong number of arguments, OOM"), StoreError),
        (ConnectionResetError(), StoreUnavailable),
    ],
)
def test_errors_of_redis(error: Exception, kind: errors.Kind) -> None:
    assert redis_client.error_kind(error) is kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (of_mongo.ServerSelectionTimeoutError(), StoreUnavailable),
        (of_mongo.NotPrimaryError(), StoreUnavailable),
        (of_mongo.OperationFailure("not authorized", 13), StoreUnavailable),
        (of_mongo.OperationFailure("out of disk space", 14031), StoreUnavailable),
        (of_mongo.BulkWriteError({"writeErrors": [{"index": 0, "code": 14031}]}), StoreUnavailable),
        (of_mongo.OperationFailure("no such command", 59), StoreError),
        (of_mongo.InvalidName(), StoreError),
        (InvalidDocument("too deep"), RecordsRefused),
    ],
)
def test_errors_of_pymongo(error: Exception, kind: errors.Kind) -> None:
    assert mongodb._kind(error) is kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, StoreUnavailable) for status in (401, 403, 407, 408, 425, 429, 502, 503, 504)),
        *((status, RecordsRefused) for status in (400, 413)),
        *((status, StoreError) for status in (302, 404, 500)),
    ],
)
def test_errors_by_http_status(status: int, kind: errors.Kind) -> None:
    assert errors.kind_of_status(status) is kind
    assert loginsight_client.kind_of_fault(loginsight_client.RequestFailed("", status, None)) is kind


def test_a_client_s_error_is_the_cause_and_its_secrets_are_cut() -> None:
    error = redis.ConnectionError(f"cannot reach u:{SECRET}@h")
    with pytest.raises(StoreUnavailable) as caught, errors.writing(f"redis://u:{SECRET}@h", redis_client.error_kind):
        raise error
    assert caught.value.__cause__ is error
    assert str(caught.value).startswith("ConnectionError: cannot reach")
    assert SECRET not in str(caught.value)


def test_an_error_of_a_value_does_not_show_it() -> None:
    with pytest.raises(RecordsRefused, match=r"^ValueError$"), errors.writing("x://"):
        raise ValueError(f"not a number: {SECRET}")


def test_a_command_of_a_pipeline_is_not_shown() -> None:
    error = redis.exceptions.ResponseError(
        f'Command # 1 (LPUSH k {{"a": "{SECRET}\n"}}) of pipeline caused error: ERR no'
    )
    with pytest.raises(StoreError, match=r"^ResponseError: ERR no$"), errors.writing("x://", redis_client.error_kind):
        raise error


def test_what_a_server_wants_is_handed_on() -> None:
    with pytest.raises(StoreUnavailable) as caught, errors.writing("x://", loginsight_client.kind_of_fault):
        raise loginsight_client.RequestFailed("HTTP status 429", 429, 7.0)
    assert caught.value.retry_after_s == 7.0


def test_a_proxy_s_page_in_place_of_json_refuses_no_record() -> None:
    assert errors.kind_of(requests.exceptions.JSONDecodeError("not JSON", "", 0)) is StoreUnavailable


def test_the_places_of_refused_documents_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[dict[str, Any]] = [{"index": 2, "code": 121}, {"index": 0, "code": 121}]

    class Collection:
        @staticmethod
        def index_information() -> dict[str, Any]:
            return {}

        @staticmethod
        def estimated_document_count() -> int:
            return 0

        @staticmethod
        def create_index(*_: Any, **__: Any) -> None: ...

        @staticmethod
        def insert_many(*_: Any, **__: Any) -> None:
            raise of_mongo.BulkWriteError({"writeErrors": refused})

    class Database:
        profiler = Collection

    driver = mongodb.MongoDB("mongodb://h")
    driver.db = Database
    with pytest.raises(RecordsRefused, match="2 of 4 documents") as caught:
        driver.write(two_spans())
    assert caught.value.places == [0, 2]
    refused[0]["code"] = 112  # a write conflict: the batch is tried again
    with pytest.raises(StoreUnavailable):
        driver.write(two_spans())


def test_sqlite_that_may_not_be_written(tmp_path: Path) -> None:
    driver = base.get_driver(f"sqlite:///{tmp_path / 'absent' / 'traces.db'}")
    with pytest.raises(StoreError, match="unable to open database file"):
        driver.write(two_spans())


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (StoreUnavailable("x"), StoreUnavailable),
        (ConnectionRefusedError(), StoreUnavailable),
        (of_sql.OperationalError(None, None, Exception()), StoreUnavailable),
        (of_mongo.AutoReconnect(), StoreUnavailable),
        (type("SomeTimeout", (Exception,), {})(), StoreUnavailable),
        (type("DataError", (Exception,), {})(), RecordsRefused),
        (TypeError(), RecordsRefused),
        (RuntimeError(), StoreError),
    ],
)
def test_errors_of_drivers_of_other_packages_are_guessed(error: Exception, kind: errors.Kind) -> None:
    assert type(undeclared.as_store_error(error, "x://")) is kind
