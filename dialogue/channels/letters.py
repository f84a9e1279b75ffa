"""E-mails as messages of a conversation: what was written anew in one, and the answer to it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import formataddr, formatdate, make_msgid, parseaddr
from html.parser import HTMLParser

from dialogue.channels.payload import clean

LONGEST = 20_000  # characters of a letter that are read
# Whoever writes by machine must not be answered by one: RFC 3834, and what came before it.
_MACHINE = {"precedence": ("bulk", "list", "junk"), "auto-submitted": ("auto-generated", "auto-replied")}
_END = re.compile(
    r"^(-- ?$|_{10,}|-{2,} ?(original message|forwarded message|ursprüngliche nachricht|原始邮件|转发)"
    r"|on .{4,200} wrote:$|am .{4,200} schrieb.{0,80}:$|le .{4,200} a écrit ?:$|在.{4,200}写道[:：]$"
    r"|(from|von|de|发件人)[:：] .*@)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail of a person.

    Attributes:
        sender: the address it says it comes from.
        text: what was written, without what was quoted and the signature.
        number: its Message-ID, or a digest of the whole when it has none.
        subject: as it is written.
        references: Message-IDs of the thread, this one the last.
    """

    sender: str
    text: str
    number: str
    subject: str
    references: tuple[str, ...]


def read_letter(raw: bytes) -> Letter | None:
    """A mail as it came; None for one that a machine sent or that says nobody to answer."""
    mail = message_from_bytes(raw, policy=policy.compat32)
    headers = {name: _line(str(mail[name])) for name in _WANTED if mail[name] is not None}
    automatic = any(
        headers.get(name, "").lower().startswith(value) for name, all_ in _MACHINE.items() for value in all_
    )
    sender = parseaddr(headers.get("reply-to") or headers.get("from", ""))[1].lower()
    if automatic or "list-id" in headers or headers.get("return-path") == "<>" or not _ADDRESS.fullmatch(sender):
        return None
    number = headers.get("message-id") or f"<{hashlib.sha256(raw).hexdigest()}@starfold>"
    known = tuple(re.findall(r"<[^<>\s]{1,200}>", headers.get("references", "")))[-20:]
    return Letter(sender, _written(_body(raw)), number, _subject(raw), (*known, number))


_WANTED = ("from", "reply-to", "message-id", "references", "return-path", "list-id", *_MACHINE)
_ADDRESS = re.compile(r"[^@\s<>,;:\"()\\]{1,64}@[A-Za-z0-9.-]{1,255}")


def answer(letter: Letter, text: str, *, address: str, display: str) -> EmailMessage:
    """A mail in the thread of a letter."""
    mail = EmailMessage(policy=policy.SMTP)
    mail["From"] = formataddr((display, address)) if display else address
    mail["To"] = letter.sender
    mail["Subject"] = letter.subject if letter.subject.lower().startswith("re:") else f"Re: {letter.subject}"
    mail["Date"] = formatdate(localtime=False)
    mail["Message-ID"] = make_msgid(domain=address.rpartition("@")[2])
    mail["In-Reply-To"] = letter.references[-1]
    mail["References"] = " ".join(letter.references)
    mail["Auto-Submitted"] = "auto-replied"
    mail.set_content(text)
    return mail


def _subject(raw: bytes) -> str:
    try:
        found = str(message_from_bytes(raw, policy=policy.default)["subject"] or "")
    except (ValueError, LookupError, IndexError, TypeError, AttributeError):  # the parser's, of broken headers
        return ""
    return _line(found)[:200]


def _line(text: str) -> str:
    """A header on one line: a break in it would begin another header."""
    return " ".join(clean(text).split())


def _body(raw: bytes) -> str:
    """The text of a mail; of HTML what can be read in it."""
    mail = message_from_bytes(raw, policy=policy.compat32)
    parts = [part for part in mail.walk() if part.get_content_maintype() == "text" and part.get_filename() is None]
    for kind, read in (("plain", str), ("html", _readable)):
        for part in parts:
            if part.get_content_subtype() == kind:
                payload = part.get_payload(decode=True)
                return read(_decoded(payload if isinstance(payload, bytes) else b"", part.get_content_charset()))
    return ""


def _decoded(payload: bytes, charset: str | None) -> str:
    try:
        return clean(payload.decode(charset or "utf-8", "replace"))
    except (LookupError, ValueError):
        return clean(payload.decode("utf-8", "replace"))


def _written(text: str) -> str:
    """What was written anew: lines that quote are left out, and what follows the first quoted letter or a signature.

    Who answers below what is quoted is read, too.
    """
    lines: list[str] = []
    for line in text[:LONGEST].splitlines():
        ended = _END.match(line[:300])
        if ended and any(lines):
            break
        if not ended and not line.startswith(">"):
            lines.append(line.rstrip())
    return "\n".join(lines).strip()


class _Reader(HTMLParser):
    SILENT = ("script", "style", "head", "blockquote")
    BREAKING = ("br", "p", "div", "li", "tr", "h1", "h2", "h3")

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.silent += tag in self.SILENT
        self.parts += ["\n"] if tag in self.BREAKING else []

    def handle_endtag(self, tag: str) -> None:
        self.silent = max(0, self.silent - (tag in self.SILENT))

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.parts.append(" ".join(data.split()))


def _readable(html: str) -> str:
    reader = _Reader()
    reader.feed(html[: 10 * LONGEST])
    reader.close()
    return re.sub(r"\n{3,}", "\n\n", "".join(reader.parts))
