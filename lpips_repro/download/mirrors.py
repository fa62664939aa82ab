"""The entries of `data.mirrors`: web addresses and local folders."""

import base64
import re
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from urllib.request import url2pathname

from lpips_repro.config.addresses import public, public_mirror
from lpips_repro.errors import UserError

SHORTEST_SECRET = 4  # characters: shorter strings occur in any text


def local_folder(mirror: str) -> Path | None:
    """The folder of a local mirror, or None for a mirror on the web; UserError if it is neither."""
    if not isinstance(mirror, str) or not mirror or mirror != mirror.strip():  # OmegaConf accepts nested lists
        raise _refused(mirror)
    if not re.match(r"[a-z][a-z0-9+.-]+:/", mirror, re.IGNORECASE):
        if re.match(r"(//)?[^/@]+:[^/@]*@", mirror):
            raise _refused("***@" + mirror.rpartition("@")[2], "write https:// before the address")
        try:
            return Path(mirror).expanduser()
        except RuntimeError as error:  # ~ of an unknown user
            raise _refused(mirror) from error
    if not mirror.lower().startswith(("http://", "https://", "file://")):
        raise _refused(mirror)
    try:
        address = urlsplit(mirror)
        host, _ = address.hostname, address.port
    except ValueError as error:
        raise _refused(mirror) from error
    if address.scheme != "file" and host:
        if "@" in f"{address.path}?{address.query}#{address.fragment}":
            raise _refused(mirror, "ambiguous: write @ / ? and # in a password as %40 %2F %3F %23")
        return None
    if address.scheme == "file" and host not in (None, "localhost"):
        place = re.sub("^[^/]*@", "", mirror[len("file://") :])
        raise UserError(
            f"data.mirrors: 'file://{place}' is on computer {host!r}: for a folder on this one write three slashes:"
            f" file:///{place}, or only the folder"
        )
    if not address.path or address.scheme != "file":
        raise _refused(mirror)
    return Path(url2pathname(address.path))


def file_address(mirror: str, name: str) -> str:
    """The address of a file of a mirror on the web. A query, such as an access token, is kept."""
    address = urlsplit(mirror)
    return address._replace(path=f"{address.path.rstrip('/')}/{quote(name)}", fragment="").geturl()


def without_secrets(text: str, mirror: str) -> str:
    """A server's text without the user, the password and the values of the query of the mirror's address."""
    address = urlsplit(mirror)
    values = [address.username, address.password, *(value for _, value in parse_qsl(address.query))]
    values += [part for part in re.findall(r";([^/;]*)", address.path) for part in (part, part.rpartition("=")[2])]
    if address.username:
        pair = f"{unquote(address.username)}:{unquote(address.password or '')}"
        values.append(base64.b64encode(pair.encode()).decode())  # as in the request
    secrets = {form for value in values if value for form in (value, unquote(value), quote(value, safe=""))}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, "***")
    # Queries without a host, as in errors of urllib3 and on error pages. <? and ?> are XML.
    return re.sub(r"(?<!<)\?(?!>)[^\s'\")<]+", "", public(text))


def _refused(mirror: object, why: str = "") -> UserError:
    shown = re.sub(r"[\r\n]+", " ", public_mirror(str(mirror)))
    expected = why or (
        "expected https://HOST/FOLDER, file:///FOLDER or a folder: from other places, download the archives and give"
        " the folder that they are in"
    )
    return UserError(f"data.mirrors: '{shown}' is not a mirror: {expected}")
