"""The envelope of WeChat official accounts and of WeCom: a signed, encrypted XML.

Source: https://developer.work.weixin.qq.com/document/path/90968. The signature is SHA-1 over the sorted token,
timestamp, nonce and ciphertext; the content is AES-256-CBC over 16 random bytes, the length, the text and the receiver.
"""

from __future__ import annotations

import base64
import hashlib
import os
import struct
import time
from collections.abc import Mapping

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from dialogue.channels.base import Delivery, RefusedError
from dialogue.channels.payload import fresh, read_xml, same

BLOCK = 32  # bytes; the padding goes to a multiple of it
WINDOW = 600.0  # seconds within which a signature counts
PASSING = (-1, 45009, 45011, 45047, 45033)  # busy, or too many calls
NO_TOKEN = (40001, 40014, 42001)  # the access token is not good any more


def signature(*parts: str) -> str:
    """The SHA-1 of the parts in order."""
    return hashlib.sha1("".join(sorted(parts)).encode("utf-8", "replace")).hexdigest()  # noqa: S324 (the protocol's)


class Envelope:
    """Opens deliveries and, for tests, closes them.

    Args:
        token: typed into the platform's console.
        aes_key: EncodingAESKey of the console, 43 letters.
        receiver: id of the account or the company, inside of every envelope.

    Raises:
        ValueError: if the key is none.
    """

    def __init__(self, token: str, aes_key: str, receiver: str) -> None:
        try:
            key = base64.b64decode(aes_key + "=", validate=True)
        except ValueError:
            key = b""
        if len(key) != 32:
            raise ValueError("aes_key: expected the 43 letters of the console's EncodingAESKey")
        self._token, self._receiver = token, receiver
        self._cipher = Cipher(algorithms.AES(key), modes.CBC(key[:16]))

    def open(self, delivery: Delivery) -> Mapping[str, str]:
        """The message in a delivery.

        Raises:
            RefusedError: if the envelope is forged, old, not for this receiver or broken.
        """
        sealed = read_xml(delivery.body).get("Encrypt", "")
        return read_xml(self.unseal(delivery, sealed))

    def echo(self, delivery: Delivery) -> bytes:
        """What the platform wants back when the webhook is set up.

        Raises:
            RefusedError: as `open`.
        """
        return self.unseal(delivery, delivery.query.get("echostr", ""))

    def unseal(self, delivery: Delivery, sealed: str) -> bytes:
        """The text of a ciphertext that the delivery's query signs."""
        timestamp, nonce = delivery.query.get("timestamp", ""), delivery.query.get("nonce", "")
        expected = signature(self._token, timestamp, nonce, sealed)
        if not same(delivery.query.get("msg_signature", ""), expected):
            raise RefusedError("WeChat: the signature is missing or wrong")
        if not fresh(timestamp, time.time(), WINDOW):
            raise RefusedError("WeChat: the signature is too old")
        return self._decrypt(sealed)

    def seal(self, text: bytes) -> str:
        """A ciphertext as the platform makes it."""
        content = os.urandom(16) + struct.pack(">I", len(text)) + text + self._receiver.encode()
        padding = BLOCK - len(content) % BLOCK
        encryptor = self._cipher.encryptor()
        return base64.b64encode(encryptor.update(content + bytes([padding]) * padding) + encryptor.finalize()).decode()

    def _decrypt(self, sealed: str) -> bytes:
        try:
            decryptor = self._cipher.decryptor()
            content = decryptor.update(base64.b64decode(sealed, validate=True)) + decryptor.finalize()
        except ValueError as problem:
            raise RefusedError("WeChat: the content cannot be decrypted", 400) from problem
        content = content[: -content[-1]] if content and 1 <= content[-1] <= BLOCK else b""
        if len(content) < 20:
            raise RefusedError("WeChat: the content cannot be decrypted", 400)
        length = struct.unpack(">I", content[16:20])[0]
        text, receiver = content[20 : 20 + length], content[20 + length :]
        if receiver != self._receiver.encode():
            raise RefusedError("WeChat: the message is for another receiver", 403)
        return text
