"""Addresses in settings, logs and messages without secrets."""

import re

# The beginning of an address on the web. file:///FOLDER has no secrets.
SCHEME = r"(?<![a-z0-9+.-])(?!file:)[a-z][a-z0-9+.-]+:/"
# Without a scheme, // begins an address only if an @ follows, else a path.
BEGIN = rf"(?:{SCHEME}|(?<![a-z0-9+.:/-])//(?=[^\s'\"<>]*@))"
# In text, an address ends at a blank, a quote, or the comma before the next address.
ADDRESS = re.compile(rf"{BEGIN}(?:(?!,{SCHEME})[^\s'\"<>])*(?<![).,:;\]}}])", re.IGNORECASE)


def public(text: str) -> str:
    """Text whose addresses have no user, password, path parameters (;...), query and fragment, which may be secret.

    `***` replaces the beginning of an address whose host is ambiguous, by an `@` after its first `/`, `?` or `#`.
    """
    return ADDRESS.sub(lambda found: _public_address(found[0]), text)


def public_mirror(mirror: str) -> str:
    """An entry of `data.mirrors` without secrets. The whole entry is one address, with any characters."""
    return _public_address(mirror) if re.match(SCHEME, mirror, re.IGNORECASE) else mirror


def _public_address(address: str) -> str:
    scheme, rest = re.findall(r"^((?:[^:/]+:)?/+)(.*)", address, re.DOTALL)[0]
    secret, _, rest = rest.rpartition("@")
    mark = "***@" * bool(re.search("[/?#]", secret))
    place = re.sub(r";[^/]*", "", re.split("[?#]", rest)[0])
    # Not a port but the beginning of a password.
    return scheme + mark + re.sub(r"^[^/:\[]*:(?!\d*(/|$))[^/]*", "***", place)
