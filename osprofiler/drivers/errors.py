# SPDX-License-Identifier: Apache-2.0
"""The errors of a store. Their texts have no secrets and no values of the application."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from osprofiler import exc
from osprofiler._runtime import http_status
from osprofiler.connection.fault_text import typed_fault_line


class StoreError(Exception):
    """The store answered with an error. After a write, it is unknown whether the records cause it.

    Delivery tries the batch a few times more. Then it searches for the record at fault.
    """

    def __init__(self, text: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(text)
        #: How long to wait before the next request, in seconds; None if the store does not say.
        self.retry_after_s = retry_after_s


class StoreUnavailable(StoreError):
    """The store is not available now: it is away, full or read-only, or it denies access.

    Delivery keeps the batch and tries again until the store takes it.
    """


class RecordsRefused(StoreError):
    """The store will never take some of the records. Delivery drops them. Without *places* it searches for them."""

    def __init__(self, text: str, *, places: Sequence[int] | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(text, retry_after_s=retry_after_s)
        #: The places of the refused records in the batch. All others are stored. None: not known.
        self.places = places


Kind = type[StoreError]


def kind_of(error: Exception) -> Kind:
    """The kind of an error that the store's client does not define: of the network, or of a value."""
    if isinstance(error, OSError):
        return StoreUnavailable
    return RecordsRefused if isinstance(error, (TypeError, ValueError)) else StoreError


def kind_of_status(status: int) -> Kind:
    """The kind of error of an HTTP *status* that is not a success."""
    if http_status.is_unavailable(status):
        return StoreUnavailable
    return RecordsRefused if status in (400, 413) else StoreError


def as_store_error(error: Exception, kind: Kind, connection_string: str, plain: Iterable[str] = ()) -> StoreError:
    """Convert *error* to one of *kind*, without the secrets of the string and those of *plain*."""
    # The text of an error of a value may have the value.
    is_safe = kind is not RecordsRefused
    text = typed_fault_line(error, connection_string, plain=plain) if is_safe else type(error).__name__
    return kind(text, retry_after_s=getattr(error, "retry_after_s", None))


@contextmanager
def writing(connection_string: str, kind: Callable[[Exception], Kind] = kind_of) -> Iterator[None]:
    """Raise the errors of a store's client as StoreError. *kind* returns the kind of an error."""
    try:
        yield
    except (StoreError, exc.CommandError):
        raise
    except Exception as error:
        raise as_store_error(error, kind(error), connection_string) from error
