"""A mail server for tests: aiosmtpd, with what it does by the local part of who a mail is for.

Arguments: port, folder for mails, mode (plain, starttls, implicit), certificate, key.
"""

import asyncio
import pathlib
import ssl
import sys

from aiosmtpd.controller import UnthreadedController
from aiosmtpd.smtp import SMTP, AuthResult

port, folder, mode = int(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
context = None
if mode != "plain":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[4], sys.argv[5])


class Handler:
    """Keeps what it takes."""

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 5.1.1 no such user here"
        if address.startswith("talker@"):
            return "550 " + "talks and " * 45
        if address.startswith("later@"):
            return "451 4.7.1 greylisted, come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if any(to.startswith("spam@") for to in envelope.rcpt_tos):
            return "554 5.7.1 this looks like spam"
        number = len(list(folder.glob("*.eml")))
        (folder / f"{number}.eml").write_bytes(envelope.content)
        return "250 2.0.0 queued as 4711"


def authenticate(server, session, envelope, mechanism, data):
    good = data.login == b"taimat" and data.password == b"m4il-pass"
    return AuthResult(success=good, handled=good)


class Server(UnthreadedController):
    """TLS as the mode says."""

    def factory(self):
        return SMTP(
            self.handler,
            authenticator=authenticate,
            auth_required=True,
            auth_require_tls=mode == "starttls",
            tls_context=context if mode == "starttls" else None,
            require_starttls=mode == "starttls",
        )


loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
implicit = context if mode == "implicit" else None
server = Server(Handler(), hostname="127.0.0.1", port=port, loop=loop, ssl_context=implicit)
server.begin()
loop.run_forever()
