# SPDX-License-Identifier: Apache-2.0
"""``osprofiler policy sign``: sign a policy for services that have ``[profiler] policy_key``."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile

from osprofiler import exc, policy
from osprofiler.cmd import cliutils, output
from osprofiler.steering import signature

#: The environment variable with the key.
KEY = "OSPROFILER_POLICY_KEY"

#: A shorter key may be guessed: the signature is as public as the policy.
_SHORT_BYTES = 16


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
        metavar="KEYFILE",
        help=f"the file whose first line is the key, one of [profiler] policy_key; default: the key in ${KEY}",
    )
    def sign(self, args: argparse.Namespace) -> int:
        """Sign a policy: append the HMAC-SHA256 of its text, or replace the signature that it has.

        Exit status: 0 if it is signed, 1 if it has mistakes or cannot be read or written.
        """
        key = _key(args.key_file)
        try:
            policy.load(args.file)
            with open(args.file, "rb") as file:
                content = file.read()
            _replace(args.file, signature.signed(content, key))
        except policy.PolicyError as fault:
            for mistake in fault.mistakes:
                print(f"{args.file}: {mistake}", file=sys.stderr)
            return 1
        except (OSError, UnicodeDecodeError) as fault:
            reason = getattr(fault, "strerror", None) or fault
            raise exc.CommandError(f"cannot sign {args.file}: {reason}") from fault
        output.write(output.text(f"{args.file}: signed"))
        return 0


def _key(key_file: str | None) -> str:
    if key_file is None:
        key = cliutils.env(KEY).strip()
        if not key:
            raise exc.CommandError(f"there is no key: give --key-file, or set ${KEY}")
    else:
        try:
            with open(key_file, encoding="utf-8") as file:
                key = file.readline().strip()
        except (OSError, UnicodeDecodeError) as fault:
            raise exc.CommandError(f"cannot read {key_file}: {getattr(fault, 'strerror', None) or fault}") from fault
        if not key:
            raise exc.CommandError(f"there is no key in the first line of {key_file}")
    if "," in key:
        raise exc.CommandError("a key has no comma: [profiler] policy_key separates keys by commas")
    if len(key.encode()) < _SHORT_BYTES:
        print(f"osprofiler: the key is short ({len(key.encode())} bytes), and may be guessed", file=sys.stderr)
    return key


def _replace(path: str, content: bytes) -> None:
    """Write *content* into the file, all or nothing: services may read it meanwhile. Its mode and owner stay."""
    path = os.path.realpath(path)
    status = os.stat(path)
    handle, new = tempfile.mkstemp(dir=os.path.dirname(path))
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        shutil.copymode(path, new)
        if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
            os.chown(new, status.st_uid, status.st_gid)
        os.replace(new, path)
    except BaseException:
        os.unlink(new)
        raise
