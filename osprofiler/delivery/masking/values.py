# SPDX-License-Identifier: Apache-2.0
"""Secrets in values as they are once they are frozen: texts, numbers, and containers of these."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from osprofiler.delivery.masking import statements
from osprofiler.delivery.masking.names import MASK, SecretNames
from osprofiler.delivery.masking.statements import is_telling
from osprofiler.delivery.masking.texts import TextMasker

_IS_NAME = re.compile(r"-{0,2}[A-Za-z][\w.:-]{0,100}").fullmatch

#: A key of at most so many characters is a name. A longer one may be a text with a secret in it.
_NAME_ALONE = 15


class Masker(TextMasker):
    """Masks by the names and patterns known here, and by further *names* and *patterns* (regular expressions).

    A value without a secret comes back as the same object.
    """

    def __init__(self, names: Sequence[str] = (), patterns: Sequence[str] = ()) -> None:
        super().__init__(SecretNames(names), patterns)

    def statement(self, info: dict[str, Any]) -> dict[str, Any]:
        """A statement's ``statement`` and ``params`` without the values of columns that are called like secrets."""
        return statements.without_secrets(info, self.names)

    def value(self, value: Any) -> Any:
        """*value* without secrets."""
        kind = type(value)
        if kind is str:
            return self.text(value)
        if kind is dict:
            return self.mapping(value)
        if kind is list:
            return self._items(value)
        return value

    def mapping(self, value: dict[str, Any]) -> dict[str, Any]:
        """*value* without secrets, by its keys and in its values."""
        made = value
        known = self.names.known.get
        for key, item in value.items():
            secret = known(key)
            if secret is None:
                secret = self.names.is_secret(key)
            masked = (MASK if is_telling(item) else item) if secret else self.value(item)
            if masked is not item:
                if made is value:
                    made = value.copy()
                made[key] = masked
        if "value" in made:
            # Its name may stand in another item.
            name = value.get("name", value.get("key"))
            if type(name) is str and is_telling(value["value"]) and self.names.is_secret(name):
                made = {**made, "value": MASK}
        for key in value:
            if len(key) > _NAME_ALONE and self.text(key) is not key:
                return {self.text(key): item for key, item in made.items()}
        return made

    def _items(self, value: list[Any]) -> list[Any]:
        made = [self.value(item) for item in value]
        for number, name in enumerate(value[:-1]):
            # The first of a pair, and an option before its argument.
            is_name = type(name) is str and (len(value) == 2 or name[:1] == "-") and _IS_NAME(name)
            if is_name and self.names.is_secret(name) and is_telling(value[number + 1]):
                made[number + 1] = MASK
        return made if any(one is not other for one, other in zip(made, value, strict=True)) else value
