"""Where archives may be had: what an entry of `data.mirrors` can be."""

import re
from pathlib import Path
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from lpips_repro.errors import UserError


def local_folder(mirror: str) -> Path | None:
    """The folder of a mirror on this computer, or None for one on the web; UserError where it is neither."""
    if not isinstance(mirror, str) or not mirror or mirror != mirror.strip():  # OmegaConf lets lists in lists pass
        raise _refused(mirror)
    if not re.match(r"[a-z][a-z0-9+.-]+:/", mirror, re.IGNORECASE):
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
        return None
    if address.scheme == "file" and host not in (None, "localhost"):
        raise UserError(
            f"data.mirrors: '{mirror}' is on a computer {host!r}: for a folder on this one write three slashes:"
            f" file:///{mirror[len('file://') :]}, or the folder alone"
        )
    if not address.path or address.scheme != "file":
        raise _refused(mirror)
    return Path(url2pathname(address.path))


def file_address(mirror: str, name: str) -> str:
    """The address of a file of a mirror on the web; a query, such as an access token, stays behind it."""
    address = urlsplit(mirror)
    return address._replace(path=f"{address.path.rstrip('/')}/{quote(name)}", fragment="").geturl()


def public(text: str) -> str:
    """Text without what may be secret in its addresses: user and password, and the query."""
    return re.sub(r"(//)[^/\s]*@|(?<!<)\?(?!>)[^\s'\")<]*", r"\1", text)  # <? and ?> are XML's


def _refused(mirror: object) -> UserError:
    return UserError(
        f"data.mirrors: '{public(str(mirror))}' is no mirror: expected https://HOST/FOLDER, file:///FOLDER or a folder:"
        " from anywhere else, fetch the archives yourself and name the folder that they are in"
    )
