# SPDX-License-Identifier: Apache-2.0
"""``osprofiler policy sign``: sign a policy for services that have ``[profiler] policy_key``."""

from __future__ import annotations

import argparse
import os
import stat
import sys
from pathlib import Path

from osprofiler import exc
from osprofiler._runtime import atomic_file
from osprofiler.cmd import cliutils, input_files, output
from osprofiler.config import limited_key
from osprofiler.steering import signature

#: The environment variable with the key.
KEY = "OSPROFILER_POLICY_KEY"


class SignCommand:
    """Part of the group ``policy``."""

    @cliutils.examples(
        "openssl rand -hex 32 > policy.key",
        "osprofiler policy sign policy.yaml --key-file policy.key",
        f"{KEY}=... osprofiler policy sign policy.yaml",
    )
    @cliutils.arg("file", metavar="FILE", help="the policy; its last line becomes the signature")
    @cliutils.arg(
        "--key-file",
        dest="key_file",
        metavar="FILE",
        help=f"the file whose first line is the key, one of [profiler] policy_key; default: the key in ${KEY}",
    )
    def sign(self, args: argparse.Namespace) -> int:
        """Sign a policy: append the HMAC-SHA256 of its text, or replace the signature that it has.

        Exit status: 0 if it is signed, 1 if it has mistakes or cannot be read or written.
        """
        key = _key(args.key_file)
        if input_files.policy_in(args.file) is None:
            return 1
        content = signature.signed(input_files.content(args.file), key)
        try:
            _replace(args.file, content)
        except OSError as fault:
            raise exc.CommandError(f"cannot sign {args.file}: {fault.strerror or fault}") from fault
        output.write(output.text(f"{args.file}: signed"))
        return 0


def _key(key_file: str | None) -> str:
    if key_file is None:
        key = cliutils.env(KEY).strip()
        if not key:
            raise exc.CommandError(f"there is no key: give --key-file, or set ${KEY}")
    else:
        key = input_files.first_line(key_file)
        if not key:
            raise exc.CommandError(f"there is no key in the first line of {key_file}")
    if "," in key:
        raise exc.CommandError("a key has no comma: [profiler] policy_key separates keys by commas")
    if limited_key.is_short(key):  # the signature is as public as the policy
        print(f"osprofiler: the key is short ({limited_key.size(key)} bytes), and may be guessed", file=sys.stderr)
    return key


def _replace(path: str, content: bytes) -> None:
    """Write *content* into the file, all or nothing: services may read it meanwhile. Its mode and owner stay."""
    real = Path(path).resolve()
    status = real.stat()
    owner = status.st_uid, status.st_gid
    is_own = owner == (os.geteuid(), os.getegid())
    atomic_file.replace(real, content, mode=stat.S_IMODE(status.st_mode), owner=None if is_own else owner)
