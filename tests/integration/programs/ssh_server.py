# SPDX-License-Identifier: Apache-2.0
"""An SSH server that answers each command by its own text, and serves the files of a folder, its argument.

It prints its port, and ends with its standard input.
"""

import asyncio
import sys

import asyncssh


class Server(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return password == "secret"


def answer(process: asyncssh.SSHServerProcess[str]) -> None:
    process.stdout.write(process.command or "")
    process.exit(0)


def files(channel: asyncssh.SSHServerChannel[bytes]) -> asyncssh.SFTPServer:
    return asyncssh.SFTPServer(channel, chroot=sys.argv[1].encode())


async def main() -> None:
    server = await asyncssh.create_server(
        Server,
        "127.0.0.1",
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        process_factory=answer,
        sftp_factory=files,
    )
    print(server.get_port(), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


asyncio.run(main())
