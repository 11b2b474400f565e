# SPDX-License-Identifier: Apache-2.0
"""Secrets in frozen values: texts, numbers, and containers of these."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from osprofiler.delivery.masking import statements
from osprofiler.delivery.masking.names import MASK, SecretNames
from osprofiler.delivery.masking.statements import may_be_secret
from osprofiler.delivery.masking.texts import TextMasker

_IS_NAME = re.compile(r"-{0,2}[A-Za-z][\w.:-]{0,100}").fullmatch

#: A key of at most this length is a name. A longer key may be a text with a secret in it.
_NAME_ALONE = 15

_MOST_KNOWN = 4096


class Masker(TextMasker):
    """Masks by the names and patterns of this package, and by further *names* and *patterns* (regular expressions).

    A value without a secret is returned as the same object.
    """

    def __init__(self, names: Sequence[str] = (), patterns: Sequence[str] = ()) -> None:
        super().__init__(SecretNames(names), patterns)
        # Earlier keys without a secret in them: whether each is the name of a secret.
        self._keys: dict[str, bool] = {}

    def statement(self, info: dict[str, Any]) -> dict[str, Any]:
        """*info*, a ``statement`` and its ``params``, without the values of columns with the name of a secret."""
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
        """*value* without the values of keys that name secrets, and without secrets in its keys and other values."""
        result = value
        known = self._keys.get
        plain = self.plain
        has_new_key = False
        # The kinds of value() without the call: the reporter does this for each tag of each span.
        for key, item in value.items():
            secret = known(key)
            if secret is None:
                has_new_key = True
                secret = self.names.is_secret(key)
            kind = type(item)
            if secret:
                masked = MASK if may_be_secret(item) else item
            elif kind is str:
                if item in plain:
                    continue
                masked = self.text(item)
            elif kind is dict or kind is list:
                masked = self.value(item)
            else:
                continue
            if masked is not item:
                if result is value:
                    result = value.copy()
                result[key] = masked
        if "value" in result:
            # Another item may be its name.
            name = value.get("name", value.get("key"))
            if type(name) is str and may_be_secret(value["value"]) and self.names.is_secret(name):
                result = {**result, "value": MASK}
        return self._with_masked_keys(result) if has_new_key else result

    def _with_masked_keys(self, value: dict[str, Any]) -> dict[str, Any]:
        """*value* without secrets in its keys. The keys that have none are remembered."""
        has_secret = False
        for key in value:
            if len(key) > _NAME_ALONE and self.text(key) is not key:
                has_secret = True
            else:
                if len(self._keys) >= _MOST_KNOWN:
                    self._keys.clear()
                self._keys[key] = self.names.is_secret(key)
        return {self.text(key): item for key, item in value.items()} if has_secret else value

    def _items(self, value: list[Any]) -> list[Any]:
        items = [self.value(item) for item in value]
        for number, name in enumerate(value[:-1]):
            # The first of a pair, and an option before its argument.
            is_name = type(name) is str and (len(value) == 2 or name[:1] == "-") and _IS_NAME(name)
            if is_name and self.names.is_secret(name) and may_be_secret(value[number + 1]):
                items[number + 1] = MASK
        return items if any(masked is not item for masked, item in zip(items, value, strict=True)) else value
