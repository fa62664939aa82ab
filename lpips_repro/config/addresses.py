"""Addresses in settings, logs and messages, without what may be secret in them."""

import re

# How an address on the web begins; file:///FOLDER has nothing secret.
SCHEME = r"(?<![a-z0-9+.-])(?!file:)[a-z][a-z0-9+.-]+:/"
# Without a scheme, // begins a path, unless an @ follows.
BEGIN = rf"(?:{SCHEME}|(?<![a-z0-9+.:/-])//(?=[^\s'\"<>]*@))"
# In text an address ends at a blank or quote, or at the comma before the next one.
ADDRESS = re.compile(rf"{BEGIN}(?:(?!,{SCHEME})[^\s'\"<>])*(?<![).,:;\]}}])", re.IGNORECASE)


def public(text: str) -> str:
    """Text without what may be secret in its addresses: user, password, path parameters (;...), query and fragment.

    `***` stands for the begin of an address if an `@` behind its first `/`, `?` or `#` leaves open what is its host.
    """
    return ADDRESS.sub(lambda found: _public_address(found[0]), text)


def public_mirror(mirror: str) -> str:
    """An entry of `data.mirrors` without what may be secret: all of it is one address, whatever characters it has."""
    return _public_address(mirror) if re.match(SCHEME, mirror, re.IGNORECASE) else mirror


def _public_address(address: str) -> str:
    scheme, rest = re.findall(r"^((?:[^:/]+:)?/+)(.*)", address, re.DOTALL)[0]
    secret, _, rest = rest.rpartition("@")
    mark = "***@" * bool(re.search("[/?#]", secret))
    place = re.sub(r";[^/]*", "", re.split("[?#]", rest)[0])
    # Not a port: the begin of a password.
    return scheme + mark + re.sub(r"^[^/:\[]*:(?!\d*(/|$))[^/]*", "***", place)
