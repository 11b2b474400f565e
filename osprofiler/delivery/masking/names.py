# SPDX-License-Identifier: Apache-2.0
"""The names of secrets."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

#: The replacement of a secret.
MASK = "***"

#: A name that contains one of these, in any case, is the name of a secret. For an underscore it may have another joint,
#: or none. The names of oslo.utils are among them. The keys are parts of the names that plain texts seldom contain.
NAMES: dict[str, tuple[str, ...]] = {
    "pass": ("password", "passwd", "passphrase", "passcode", "admin_pass", "user_pass", "db_pass", "new_pass"),
    "pswd": ("pswd",),
    "token": ("token",),
    "secret": ("secret",),
    "cred": ("credential",),
    "cookie": ("cookie",),
    "author": ("authorization",),
    "signa": ("signature",),
    "data": ("user_data",),
    "drive": ("config_drive",),
    "identified": ("identified by",),
    "key": (
        *("api_key", "access_key", "private_key", "signing_key", "encrypted_key", "encryption_key", "encrypt_key"),
        *("ssl_key", "ssh_key", "hmac_key", "shared_key", "master_key", "session_key", "auth_key", "account_key"),
        *("admin_key", "fernet_key", "heartbeat_key", "client_key", "rndc_key", "rgw_key", "mds_key", "mon_key"),
        *("temp_url_key", "storage_key", "service_key"),
    ),
    "cephcluster": ("ceph_cluster_fsid",),
    "kek": ("crypto_kek",),
    "suffix": ("hash_suffix",),
}
#: A name that contains one of these as a whole word is the name of a secret too.
WORDS = ("pass", "pwd", "sig", "jwt", "otp", "totp", "creds")

_MOST_KNOWN = 4096


class SecretNames:
    """The names above, and further *names*; each may be a part of a longer name, in any case."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        given = [lowered for name in names if (lowered := name.strip().lower())]
        by_part = dict(NAMES)
        for name in (*WORDS, *given):
            part = re.split("[-_ ]", name)[0]
            by_part[part] = (*by_part.get(part, ()), name)
        # The first words of the names. A text is searched for them only if it contains the part.
        self._beginnings = {
            part: sorted({re.split("[-_ ]", name)[0] for name in group}) for part, group in by_part.items()
        }
        known = [name for group in (*NAMES.values(), given) for name in group]
        longest_first = sorted((re.split("[-_ ]", name) for name in known), key=lambda parts: -len("".join(parts)))
        any_of = "|".join("[-_. ]?".join(map(re.escape, parts)) for parts in longest_first)
        self._pattern = re.compile(f"(?:{any_of}|(?<![a-z])(?:{'|'.join(WORDS)})(?![a-z]))", re.I)
        self.match = self._pattern.match
        self.is_secret = functools.lru_cache(_MOST_KNOWN)(self._is_secret)
        self.positions = functools.lru_cache(_MOST_KNOWN)(self._positions)

    def _is_secret(self, name: str) -> bool:
        """Whether a value with this *name* is a secret."""
        return self._pattern.search(name) is not None

    def _positions(self, names: tuple[str, ...]) -> tuple[int, ...]:
        """The positions of the names of secrets in *names*."""
        return tuple(number for number, name in enumerate(names) if self.is_secret(name))

    def places(self, low: str) -> list[int]:
        """The positions in *low*, a text in lower case, where a name of a secret may begin."""
        places: list[int] = []
        for part, beginnings in self._beginnings.items():
            if part in low:
                for beginning in beginnings:
                    at = low.find(beginning)
                    while at >= 0:
                        places.append(at)
                        at = low.find(beginning, at + 1)
        places.sort()
        return places

    def is_in(self, text: str) -> bool:
        """Whether *text* contains the name of a secret."""
        return any(self.match(text, place) for place in self.places(lower(text)))


def lower(text: str) -> str:
    """*text* in lower case, with each character at its old position."""
    low = text.lower()
    return low if len(low) == len(text) else "".join(char.lower() if len(char.lower()) == 1 else char for char in text)
