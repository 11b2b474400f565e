# SPDX-License-Identifier: Apache-2.0
"""Guesses for drivers that declare no abilities and raise the errors of their store's client: those of osprofiler 4.

Only this module guesses. Drivers of this package declare their abilities and raise ``errors.StoreError``.
"""

from __future__ import annotations

from osprofiler.drivers import errors
from osprofiler.drivers.abilities import Can

#: For each ability: the methods that show it, and the older methods that show its absence. A class for osprofiler 4.4.0
#: may be a subclass of a driver that has both.
_METHODS: dict[Can, tuple[tuple[str, ...], tuple[str, ...]]] = {
    Can.WRITE: (("notify", "write"), ()),
    Can.WRITE_BATCH: (("write",), ("notify",)),
    Can.READ: (("get_report", "read"), ()),
    Can.READ_RECORDS: (("read",), ("get_report",)),
    Can.READ_SHARED: ((), ("get_report", "read", "list_traces")),  # no method shows it
    Can.LIST: (("list_traces",), ()),
    Can.LIST_ERRORS: (("list_error_traces",), ()),
    Can.LIST_SERVICES: (("list_services",), ("list_traces",)),
    Can.SEARCH: (("candidates",), ("list_traces", "list_error_traces")),
    Can.DELETE: (("delete",), ()),
    Can.PURGE: (("purge",), ()),
}

#: The names of DB-API's classes for the error of a value. All libraries of databases use them.
_OF_THE_VALUE = frozenset(("DataError", "IntegrityError"))

#: Parts of the class names of errors that mean: the store was away, or takes no records now.
_UNAVAILABLE = (
    *("Connection", "Connect", "Timeout", "Disconnect", "Unavailable", "AutoReconnect", "Interface", "Network"),
    *("Cluster", "TryAgain"),  # Redis: a cluster without a master for some slots, or one that moves slots
    *("ReadOnly", "OutOfMemoryError", "DiskFull", "Permission", "Privilege", "Denied"),
)


def abilities(driver: type) -> frozenset[Can]:
    """The abilities of a class that declares none: derived from its methods and those of its bases.

    For each ability, the first class in the MRO that has a method of it, or declares abilities, decides.
    """
    abilities = {ability for ability in Can if _has(driver, ability)}
    if {Can.DELETE, Can.LIST} <= abilities:
        abilities.add(Can.PURGE)  # the method of the base class
    return frozenset(abilities)


def _has(driver: type, ability: Can) -> bool:
    methods, older = _METHODS[ability]
    for kind in driver.__mro__:
        own = vars(kind)
        if "can" in own:
            return ability in own["can"]
        if not own.keys().isdisjoint(methods):
            return True
        if not own.keys().isdisjoint(older):
            return False
    return False


def error_kind(error: Exception) -> errors.Kind:
    """The kind of an error of a store's client, by the names of its classes."""
    names = [kind.__name__ for kind in type(error).__mro__]
    if isinstance(error, (TypeError, ValueError)) or _OF_THE_VALUE.intersection(names):
        return errors.RecordsRefused
    if "SQLAlchemyError" in names:
        from osprofiler.drivers import sql_faults

        return sql_faults.kind_of(error)
    if any(part in name for name in names for part in _UNAVAILABLE):
        return errors.StoreUnavailable
    return errors.kind_of(error)


def as_store_error(error: Exception, connection_string: str) -> errors.StoreError:
    """Convert the *error* of any driver's write to a StoreError, without the secrets of the string."""
    if isinstance(error, errors.StoreError):
        return error
    return errors.as_store_error(error, error_kind(error), connection_string)
