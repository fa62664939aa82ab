"""Addresses and texts of servers are shown without secrets."""

import pytest

from lpips_repro.config.addresses import public, public_mirror
from lpips_repro.download.mirrors import local_folder, without_secrets
from lpips_repro.errors import UserError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://u:secret@host/x?token=secret", "https://host/x"),
        ("HTTPS://secret@host/x", "HTTPS://host/x"),
        ("https://u:sec@ret@host/x", "https://host/x"),
        ("https://u:se/cret@host/x", "https://***@host/x"),
        ("https://u:se@c/ret@host/x", "https://***@host/x"),
        ("https://u:12/secret@host:8080/x", "https://***@host:8080/x"),
        ("https://u:se?cr#et@host/x", "https://***@host/x"),
        ("https://u:secret%40%2F@host/x%20y", "https://host/x%20y"),
        ("https://host/x#secret", "https://host/x"),
        ("https://host/a;token=secret/b;secret", "https://host/a/b"),
        ("https://user:secret/x", "https://***/x"),
        ("http:/u:secret@host/x", "http:/host/x"),
        ("//u:secret@host/x", "//host/x"),
        ("ftp://u:secret@host/x", "ftp://host/x"),
        ("data.root=//srv/share;v2/x: no such folder", "data.root=//srv/share;v2/x: no such folder"),
        ("https://u:secret@[::1]:80/x?secret", "https://[::1]:80/x"),
        ("https://host/x?to=https://other/y%secret", "https://host/x"),
        ("https://a/x?secret,https://u:secret@b/y and (https://secret@c:1/z).", "https://a/x,https://b/y and (https://c:1/z)."),
        ("{mirrors:[https://u:secret@host]}", "{mirrors:[https://host]}"),
        ("Failed to parse: 'https://u:secret@host:x'", "Failed to parse: 'https://***'"),
        ("https://host:8080/x: 404 Not Found; what? a@b", "https://host:8080/x: 404 Not Found; what? a@b"),
        ("file:///my/x@y?z: no such file", "file:///my/x@y?z: no such file"),
    ],
)  # fmt: skip
def test_addresses_in_a_text_are_shown_without_what_may_be_secret(text, shown):
    assert public(text) == shown
    assert "secret" not in shown


@pytest.mark.parametrize(
    "mirror", ["https://u:a secret@host/x", "https://u:'secret\"@host/x", "https://u:<secret@host"]
)
def test_a_mirror_with_spaces_or_quotes_is_one_address(mirror):
    assert "secret" not in public_mirror(mirror)
    assert "host" in public_mirror(mirror)


@pytest.mark.parametrize(
    "mirror",
    [
        *("https://u:se/cret@host/x", "https://u:12/secret@host", "https://u:12?secret@host/x", "https://u:1#secret@host"),
        *("https://u:sec ret/@host/x", "ftp://u:secret@host/x", "https://u:secret@", "file://u:secret@host/x"),
        *("https://u:secret@host:port/x", "https://u:secret\n@host:x/"),
    ],
)  # fmt: skip
def test_a_mirror_that_is_refused_is_named_in_one_line_without_its_password(mirror):
    with pytest.raises(UserError, match=r"^data\.mirrors: ") as caught:
        local_folder(mirror)
    assert "secret" not in str(caught.value)
    assert "cret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_password_with_a_slash_says_how_to_write_it():
    with pytest.raises(UserError, match=r"write @ / [?] and # in a password as %40 %2F %3F %23"):
        local_folder("https://u:12/secret@host/x")
    assert local_folder("https://u:12%2Fsecret@host/x") is None


def test_secrets_in_the_text_of_a_server_are_hidden():
    mirror = "https://user:pass%2Fword@host/x?key=abcdef&part=2"
    said = "403 user: 'pass/word' and pass%2Fword with abcdef for /x?key=abcdef are no good: part 2, <?xml?>"
    assert without_secrets(said, mirror) == "403 ***: '***' and *** with *** for /x are no good: part 2, <?xml?>"


@pytest.mark.parametrize("mirror", ["user:secret@host/x", "//user:secret@host/x", "u:secret@127.0.0.1:80/x"])
def test_an_address_without_a_scheme_is_refused_and_hidden(mirror):
    with pytest.raises(UserError, match=r"is not a mirror: write https:// before the address") as caught:
        local_folder(mirror)
    assert "secret" not in str(caught.value)


def test_parameters_and_credentials_in_the_text_of_a_server_are_hidden():
    mirror = "https://user:secr%40t@host/x;token=t0ken1;plain2"
    said = "no t0ken1, plain2 or Basic dXNlcjpzZWNyQHQ= for /x;token=t0ken1"
    assert without_secrets(said, mirror) == "no ***, *** or Basic *** for /x;***"
