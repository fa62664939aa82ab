"""What the server signs: links, cookies, and tokens against requests that other sites make; and the keyed hashes."""

import contextlib
import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Any, NamedTuple

from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer

from lpips_repro.collect.refusal import Refusal
from lpips_repro.errors import UserError

SECRET, ADMIN_TOKEN = "secret", "admin-token"  # files in the folder of the study's database


class Seat(NamedTuple):
    """Whom a cookie stands for: a worker and the kind of question that the link led to."""

    worker: int
    kind: str


class Signer:
    """Signs for one study with one secret.

    Args:
        secret: any text that nobody else knows; study: name; link_seconds, seat_seconds: how long each holds.
    """

    def __init__(self, secret: str, study: str, link_seconds: int, seat_seconds: int) -> None:
        self._secret, self._study = secret, study
        self._links = URLSafeTimedSerializer(secret, salt=f"link {study}")
        self._seats = URLSafeTimedSerializer(secret, salt=f"seat {study}")
        self.link_seconds, self.seat_seconds = link_seconds, seat_seconds

    def link(self, kind: str, label: str | None) -> str:
        """The token of a link; `label` names a worker, None: the platform that sends workers does."""
        return str(self._links.dumps([kind, label]))

    def read_link(self, token: str) -> tuple[str, str | None]:
        """Kind and label; Refusal (403) if the token is forged or too old."""
        kind, label = _read(self._links, token, self.link_seconds, "link")
        return kind, label

    def seat(self, seat: Seat) -> str:
        """The value of a cookie."""
        return str(self._seats.dumps([*seat]))

    def read_seat(self, cookie: str | None) -> Seat:
        """Whom a cookie stands for; Refusal (401) without one, (403) if it is forged or too old."""
        if not cookie:
            raise Refusal(401, "Open the link that you were given.")
        return Seat(*_read(self._seats, cookie, self.seat_seconds, "session"))

    def csrf(self, cookie: str) -> str:
        """What a request that changes something must repeat, which no other site can read."""
        return self._hash("csrf", cookie)

    def worker_key(self, identifier: str) -> str:
        """The keyed hash of a worker's identifier, which is not kept."""
        return self._hash(f"worker {self._study}", identifier)

    def _hash(self, purpose: str, text: str) -> str:
        message = f"{purpose}\0{text}".encode(errors="surrogatepass")
        return hmac.new(self._secret.encode(), message, hashlib.sha256).hexdigest()


def kept_secret(folder: Path, name: str) -> str:
    """A random text that a file of the folder keeps, which only its owner can read."""
    path = folder / name
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32))
    if not (kept := path.read_text().strip()):
        raise UserError(f"{path}: empty: restore it; links that were given out are not valid without it")
    return kept


def _read(serializer: URLSafeTimedSerializer, token: str, seconds: int, what: str) -> Any:
    try:
        return serializer.loads(token, max_age=seconds)
    except SignatureExpired:
        raise Refusal(403, f"This {what} is too old: ask for a new link.") from None
    except BadSignature:
        raise Refusal(403, f"This {what} is not valid: open the link exactly as you were given it.") from None
