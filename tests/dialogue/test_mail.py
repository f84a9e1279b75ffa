"""The mail channel: letters as people write them, and servers of the protocols' own words."""

import asyncio
import socketserver
import threading
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue.catalog import build
from dialogue.channels.base import SendError
from dialogue.channels.letters import answer, read_letter
from dialogue.errors import StarfoldError
from dialogue.message import Button, Reply


def letter(text="Can I come tonight?", **headers):
    mail = EmailMessage()
    known = {
        "From": "Ada <Ada@example.org>",
        "To": "bot@example.org",
        "Subject": "Tonight",
        "Message-ID": "<1@example.org>",
    }
    for name, value in {**known, **{name.replace("_", "-"): value for name, value in headers.items()}}.items():
        if value is not None:
            mail[name] = value
    mail.set_content(text)
    return mail.as_bytes()


# --- letters ----------------------------------------------------------------------------------------------------------


def test_a_letter():
    found = read_letter(letter(References="<a@x> <b@x>", Subject="Über\u00a0uns"))
    assert (found.sender, found.text, found.number, found.subject) == (
        "ada@example.org",
        "Can I come tonight?",
        "<1@example.org>",
        "Über uns",
    )
    assert found.references == ("<a@x>", "<b@x>", "<1@example.org>")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("yes\n\nOn Mon, 1 Jan 2026 at 10:00, Bot <bot@x> wrote:\n> sure?\n", "yes"),
        ("yes\n> sure?\nor rather\nno", "yes\nor rather\nno"),
        ("On Mon, Bot <bot@x> wrote:\n> sure?\n\nyes, below", "yes, below"),
        ("ja\n\nAm 01.01.2026 um 10:00 schrieb Bot:\n> sicher?", "ja"),
        ("oui\nLe lun. 1 janv. 2026 à 10:00, Bot a écrit :\n> sûr ?", "oui"),
        ("好的\n在 2026年1月1日 10:00，Bot 写道：\n> 确定吗", "好的"),
        ("yes\n-----Original Message-----\nFrom: bot@x\nsure?", "yes"),
        ("yes\n\nFrom: Bot <bot@x>\nSent: Monday\nsure?", "yes"),
        ("From: London\nTo: Paris", "From: London\nTo: Paris"),
        ("yes\n-- \nAda, Observatory Road 1", "yes"),
        ("  \n\n", ""),
    ],
)
def test_what_is_quoted_was_not_written_now(text, written):
    assert read_letter(letter(text)).text == written


def test_html_is_read_when_there_is_nothing_else():
    mail = EmailMessage()
    mail["From"], mail["Message-ID"] = "ada@example.org", "<1@x>"
    mail.set_content(
        "<head><style>p{}</style></head><p>Hi &amp; hello</p><p>two<br>lines</p><blockquote>old</blockquote>",
        subtype="html",
    )
    assert read_letter(mail.as_bytes()).text == "Hi & hello\ntwo\nlines"
    mail.make_alternative()
    mail.add_alternative("plain words", subtype="plain")
    assert read_letter(mail.as_bytes()).text == "plain words"


@pytest.mark.parametrize(
    "headers",
    [
        {"Auto_Submitted": "auto-replied"},
        {"Auto_Submitted": "auto-generated; type=x"},
        {"Precedence": "bulk"},
        {"List_Id": "<list.example.org>"},
        {"Return_Path": "<>"},
        {"From": None},
        {"From": "MAILER-DAEMON"},
    ],
)
def test_machines_are_not_answered(headers):
    assert read_letter(letter(**headers)) is None


def test_a_person_who_says_it_is_no_machine_is_answered():
    assert read_letter(letter(Auto_Submitted="no")) is not None


def test_a_letter_without_an_id_has_one_of_its_own():
    one, two = read_letter(letter(Message_ID=None)), read_letter(letter("other", Message_ID=None))
    assert one.number != two.number
    assert one.number == read_letter(letter(Message_ID=None)).number


@settings(deadline=None, max_examples=60)
@given(
    st.binary(max_size=400),
    st.sampled_from([b"", b"From: a@b.c\n", b"From: a@b.c\nContent-Type: text/plain; charset="]),
)
def test_any_bytes_are_a_letter_or_none(noise, start):
    found = read_letter(start + noise)
    if found is not None:
        assert "\0" not in found.text + found.subject + found.sender
        (found.text + found.subject + found.number).encode("utf-8")
        answer(found, "hello", address="bot@example.org", display="Bot").as_bytes()


def test_an_answer_stays_in_the_thread_and_says_that_a_machine_wrote_it():
    found = read_letter(letter(Subject="Re: Tonight\r\n Bcc: evil@x".replace("\r\n", ""), References="<a@x>"))
    mail = answer(found, "Yes, 今晚", address="bot@example.org", display="Nova")
    read = message_from_bytes(mail.as_bytes(), policy=policy.default)
    assert (read["To"], read["From"], read["Subject"]) == (
        "ada@example.org",
        "Nova <bot@example.org>",
        "Re: Tonight Bcc: evil@x",
    )
    assert (read["In-Reply-To"], read["References"]) == ("<1@example.org>", "<a@x> <1@example.org>")
    assert read["Auto-Submitted"] == "auto-replied"
    assert read["Bcc"] is None
    assert read.get_content().splitlines() == ["Yes, 今晚"]


# --- servers ----------------------------------------------------------------------------------------------------------


class Imap(socketserver.StreamRequestHandler):
    """As much of RFC 3501 as a client needs that looks for unread letters."""

    def handle(self):
        box, login = self.server.box, self.server.login
        self.wfile.write(b"* OK ready\r\n")
        while line := self.rfile.readline().strip():
            tag, _, command = line.decode().partition(" ")
            self.server.commands.append(command)
            verb = command.upper()
            done = "OK done"
            if verb.startswith("CAPABILITY"):
                self.say("* CAPABILITY IMAP4rev1")
            elif verb.startswith("LOGIN"):
                done = "OK done" if command == f'LOGIN {login[0]} "{login[1]}"' else "NO wrong"
            elif verb.startswith("SELECT"):
                self.say(f"* {len(box)} EXISTS")
            elif verb.startswith("UID SEARCH"):
                self.say("* SEARCH " + " ".join(str(number) for number, (_, seen) in box.items() if not seen))
            elif verb.startswith("UID FETCH"):
                number = int(command.split()[2])
                raw = box[number][0]
                self.wfile.write(f"* {number} FETCH (UID {number} BODY[] {{{len(raw)}}}\r\n".encode() + raw + b")\r\n")
            elif verb.startswith("UID STORE"):
                number = int(command.split()[2])
                box[number] = (box[number][0], True)
            elif verb.startswith("LOGOUT"):
                self.say("* BYE")
            self.say(f"{tag} {done}")

    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")


class Smtp(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as a client needs that sends letters. `answers` are said to MAIL in turn, then 250."""

    def handle(self):
        self.say("220 ready")
        while line := self.rfile.readline().strip().decode():
            verb = line.upper()[:4]
            if verb == "EHLO":
                self.say("250 here")
            elif verb == "MAIL":
                self.say(self.server.answers.pop(0) if self.server.answers else "250 ok")
            elif verb == "DATA":
                self.say("354 go on")
                lines = []
                while (text := self.rfile.readline()) != b".\r\n":
                    lines.append(text.removeprefix(b".") if text.startswith(b"..") else text)
                self.server.letters.append(b"".join(lines))
                self.say("250 taken")
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")

    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")


@contextmanager
def serving(handler, **state):
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        vars(server).update(state)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.shutdown()


def mailbox(imap=1, smtp=1, **options):
    known = {
        "address": "bot@example.org",
        "password": "pw",
        "imap_host": "127.0.0.1",
        "smtp_host": "127.0.0.1",
        "security": "none",
        "interval": 0.01,
        "imap_port": imap,
        "smtp_port": smtp,
    }
    return build("mail", "mail", {**known, **options})


def heard_of(box, count, *, login=("bot@example.org", "pw"), fail=False):
    """What the channel hears until it has heard so many letters, and what it asked the server."""
    heard = []

    async def take(incoming):
        if fail:
            raise asyncio.CancelledError
        heard.extend(incoming.heard)

    async def run(port):
        listening = asyncio.create_task(mailbox(imap=port).listen(take, None))
        while len(heard) < count and not listening.done():
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        listening.cancel()
        await listening

    with serving(Imap, box=box, login=login, commands=[]) as server:
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(run(server.server_address[1]))
        return heard, server.commands


def test_unread_letters_are_heard_once_and_marked():
    box = {
        3: (letter("first"), False),
        4: (letter("read before"), True),
        7: (letter("auto", Precedence="bulk"), False),
        9: (letter("last", Message_ID="<2@x>"), False),
    }
    heard, commands = heard_of(box, 2)
    assert [one.message.text for one in heard] == ["first", "last"]
    assert {one.message.sender for one in heard} == {"mail:ada@example.org"}
    assert all(seen for _, seen in box.values())
    assert 'SELECT "INBOX"' in commands


def test_a_letter_that_is_not_safe_stays_unread():
    box = {3: (letter("first"), False)}
    heard_of(box, 1, fail=True)
    assert not box[3][1]


def test_its_own_letters_are_not_answered():
    box = {3: (letter("me", From="Bot <BOT@example.org>"), False), 4: (letter("you"), False)}
    assert [one.message.text for one in heard_of(box, 1)[0]] == ["you"]


def test_a_refused_login_ends_it():
    async def run(port):
        await mailbox(imap=port, password="no").listen(None, None)

    with serving(Imap, box={}, login=("bot@example.org", "pw"), commands=[]) as server:
        with pytest.raises(StarfoldError, match="cannot be opened") as problem:
            asyncio.run(run(server.server_address[1]))
        assert "no" not in str(problem.value).split()


def test_trouble_of_the_server_is_waited_out(monkeypatch):
    tries = []

    async def sleep(seconds):
        tries.append(seconds)
        if len(tries) == 3:
            raise asyncio.CancelledError

    monkeypatch.setattr("dialogue.channels.mail.asyncio.sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(mailbox(interval=4.0).listen(None, None))
    assert tries == [4.0, 4.0, 4.0]


def send(port, reply, **options):
    found = read_letter(letter())
    address = {
        "sender": found.sender,
        "text": "",
        "number": found.number,
        "subject": found.subject,
        "references": list(found.references),
    }
    asyncio.run(mailbox(smtp=port, **options).send(reply, address, None))


def test_a_reply_is_a_letter():
    with serving(Smtp, letters=[], answers=[]) as server:
        buttons = (Button("Yes", "/affirm"), Button("Map", "https://e.org"))
        send(server.server_address[1], Reply(text="**Sure**?\n.dot", buttons=buttons, image="https://x/a.png"))
        send(server.server_address[1], Reply())
        (raw,) = server.letters
    read = message_from_bytes(raw, policy=policy.default)
    assert read.get_content().splitlines() == ["Sure?", ".dot", "https://x/a.png", "1. Yes", "Map: https://e.org"]
    assert (read["To"], read["Subject"]) == ("ada@example.org", "Re: Tonight")


@pytest.mark.parametrize(("said", "passing"), [("451 busy", True), ("550 no such user", False)])
def test_a_letter_that_is_refused(said, passing):
    with serving(Smtp, letters=[], answers=[said]) as server:
        with pytest.raises(SendError) as problem:
            send(server.server_address[1], Reply(text="hi"))
        assert (problem.value.retry_after is not None) == passing


def test_a_server_that_is_not_there():
    with pytest.raises(SendError) as problem:
        send(1, Reply(text="hi"))
    assert problem.value.retry_after is not None
