"""E-mail: letters are fetched from a mailbox by IMAP and answered in their thread by SMTP.

Sources: RFC 3501, RFC 5321, and RFC 3834 on answering by machine. A letter is marked as seen once it is safe. Anyone
can write any sender into a letter: what a bot does for people it has to know needs another proof than that.
"""

from __future__ import annotations

import asyncio
import imaplib
import logging
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from email.errors import MessageError
from email.message import EmailMessage
from typing import TYPE_CHECKING, Literal, TypeAlias

from dialogue.channels.base import Address, Heard, Incoming, SendError, Take
from dialogue.channels.calls import PAUSE
from dialogue.channels.degrade import LOOKS, pieces
from dialogue.channels.letters import Letter, answer, read_letter
from dialogue.channels.payload import heard
from dialogue.errors import StarfoldError
from dialogue.message import Reply

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger(__name__)

Security: TypeAlias = Literal["tls", "starttls", "none"]
TIMEOUT = 60.0  # seconds
QUICK = 3.0  # seconds, when only asked whether it is there
LARGEST = 2**20  # bytes of a letter


class Mail:
    """A mailbox of the bot's own: every unread letter in it is answered.

    Args:
        address: of the bot.
        password: of the mailbox.
        imap_host: server that has the mailbox.
        smtp_host: server that sends.
        user: name to log in with; the address by default.
        display: name shown beside the address.
        folder: of the mailbox.
        interval: seconds between looks into the mailbox.
        security: of both connections: `tls`, `starttls`, or `none` for a server on this machine.
        imap_port: 993, or 143 without `tls`.
        smtp_port: 465, or 587 without `tls`.
        name: of the channel.
    """

    look = LOOKS["mail"]

    def __init__(
        self,
        *,
        address: str,
        password: str,
        imap_host: str,
        smtp_host: str,
        user: str | None = None,
        display: str = "",
        folder: str = "INBOX",
        interval: float = 30.0,
        security: Security = "tls",
        imap_port: int | None = None,
        smtp_port: int | None = None,
        name: str = "mail",
    ) -> None:
        self.name = name
        self._address, self._display, self._folder, self._interval = address, display, folder, interval
        self._login = (user or address, password)
        self._security = security
        self._imap = (imap_host, imap_port or (993 if security == "tls" else 143))
        self._smtp = (smtp_host, smtp_port or (465 if security == "tls" else 587))

    async def listen(self, take: Take, client: httpx.AsyncClient) -> None:
        """See `Listener.listen`. The server's trouble is waited out, a refused login is not."""
        while True:
            try:
                for number, raw in await asyncio.to_thread(self._unseen):
                    await take(Incoming(self._heard(raw)))
                    await asyncio.to_thread(self._mark, number)
            except (OSError, imaplib.IMAP4.abort) as problem:
                logger.warning("the mailbox cannot be read: %s", problem)
            await asyncio.sleep(self._interval)

    async def send(self, reply: Reply, address: Address, client: httpx.AsyncClient) -> None:
        """See `Channel.send`. A reply is one letter, its images as addresses."""
        letter = Letter(**{**address, "references": tuple(address["references"])})
        text = "\n\n".join(piece.text for piece in pieces(reply, self.look))
        if not text:
            return
        try:
            mail = answer(letter, text, address=self._address, display=self._display)
        except (ValueError, MessageError) as problem:
            raise SendError(f"the letter cannot be written: {problem}", None) from problem
        await asyncio.to_thread(self._post, mail)

    async def introduce(self, client: httpx.AsyncClient) -> str:
        """See `Introduces.introduce`."""
        try:
            await asyncio.to_thread(self._log_in)
        except StarfoldError as problem:
            raise SendError(str(problem), None) from problem
        except (OSError, imaplib.IMAP4.error, smtplib.SMTPException) as problem:
            raise SendError(f"a mail server does not answer: {problem}", PAUSE) from problem
        return self._address

    def _heard(self, raw: bytes) -> tuple[Heard, ...]:
        letter = read_letter(raw)
        if letter is None or letter.sender == self._address.lower():
            return ()
        address = {**asdict(letter), "text": "", "references": list(letter.references)}
        known = {"subject": letter.subject, "user_id": letter.sender}
        return heard(self.name, letter.sender, letter.number, letter.text, address, known)

    def _log_in(self) -> None:
        with self._mailbox(QUICK), self._outgoing(QUICK):
            pass

    @contextmanager
    def _mailbox(self, timeout: float = TIMEOUT) -> Iterator[imaplib.IMAP4]:
        host, port = self._imap
        context = ssl.create_default_context()
        server: imaplib.IMAP4
        if self._security == "tls":
            server = imaplib.IMAP4_SSL(host, port, ssl_context=context, timeout=timeout)
        else:
            server = imaplib.IMAP4(host, port, timeout=timeout)
        with server:
            if self._security == "starttls":
                server.starttls(context)
            try:
                server.login(*self._login)
                server.select(f'"{self._folder}"')
            except imaplib.IMAP4.abort:
                raise
            except imaplib.IMAP4.error as problem:
                raise StarfoldError(f"the mailbox {self._folder} of {self._address} cannot be opened") from problem
            yield server

    def _unseen(self) -> list[tuple[str, bytes]]:
        """UIDs and contents of unread letters, the oldest first. What is too large stays unread."""
        with self._mailbox() as server:
            _, found = server.uid("SEARCH", "UNSEEN", "SMALLER", str(LARGEST))
            letters = []
            for number in (found[0] or b"").decode("ascii", "replace").split():
                _, parts = server.uid("FETCH", number, "(BODY.PEEK[])")
                letters += [(number, part[1]) for part in parts if isinstance(part, tuple)][:1]
            return letters

    def _mark(self, number: str) -> None:
        with self._mailbox() as server:
            server.uid("STORE", number, "+FLAGS", r"(\Seen)")

    @contextmanager
    def _outgoing(self, timeout: float = TIMEOUT) -> Iterator[smtplib.SMTP]:
        host, port = self._smtp
        context = ssl.create_default_context()
        with (
            smtplib.SMTP_SSL(host, port, timeout=timeout, context=context)
            if self._security == "tls"
            else smtplib.SMTP(host, port, timeout=timeout)
        ) as server:
            if self._security == "starttls":
                server.starttls(context=context)
            if self._security != "none" or server.has_extn("auth"):
                server.login(*self._login)
            yield server

    def _post(self, mail: EmailMessage) -> None:
        try:
            with self._outgoing() as server:
                server.send_message(mail)
        except smtplib.SMTPRecipientsRefused as problem:
            passing = all(400 <= code < 500 for code, _ in problem.recipients.values())
            raise SendError("the letter's recipient is refused", PAUSE * 12 if passing else None) from problem
        except smtplib.SMTPResponseException as problem:
            again = PAUSE * 12 if 400 <= problem.smtp_code < 500 else None
            raise SendError(f"the letter is refused: {problem.smtp_code}", again) from problem
        except (OSError, smtplib.SMTPException) as problem:
            raise SendError(f"the letter cannot be sent: {type(problem).__name__}", PAUSE) from problem
