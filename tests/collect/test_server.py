"""The server: what it lets workers do, and what it refuses without any change."""

import asyncio
import dataclasses
import io
import itertools
import json
import time
from collections.abc import Iterator
from html import escape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select
from starlette.testclient import TestClient

from lpips_repro.collect.guard import HEADERS, LARGEST_BODY, Guard
from lpips_repro.collect.models import Base, Item, Judgment, Trial
from lpips_repro.collect.server import make_app, signer_of
from lpips_repro.collect.sessions import drop_expired
from lpips_repro.collect.signing import Seat, Signer
from lpips_repro.collect.stimuli import pictures
from lpips_repro.collect.study import OpenStudy, open_study
from tests.collect.conftest import config
from tests.collect.sitting import choice_of, trials_of

ADDRESS = "http://127.0.0.1:8765"


NAMES = (f"worker {number}" for number in itertools.count())


@pytest.fixture(scope="module")
def study(dataset, tmp_path_factory) -> Iterator[OpenStudy]:
    """One for all tests of this file: it has items for all their workers."""
    many = [f"{key}=1000" for key in ("val_votes", "train_votes", "jnd_votes")]
    opened = open_study(config(dataset, tmp_path_factory.mktemp("server") / "store", *many))
    yield opened
    opened.store.close()


@pytest.fixture(scope="module")
def signer(study) -> Signer:
    return signer_of(study.cfg)


@pytest.fixture(scope="module")
def opened(study, signer) -> Iterator[TestClient]:
    with TestClient(make_app(study, signer), base_url=ADDRESS) as client:
        yield client


@pytest.fixture
def client(opened) -> TestClient:
    opened.cookies.clear()
    opened.headers.pop("X-CSRF-Token", None)
    return opened


def come(client: TestClient, signer: Signer, kind: str = "2afc", name: str | None = None) -> dict:
    """A new worker comes by a link, agrees and begins; the state of the session."""
    client.cookies.clear()
    client.get(f"/join/{signer.link(kind, name or next(NAMES))}", follow_redirects=False)
    client.headers["X-CSRF-Token"] = client.get("/api/state").json()["csrf"]
    assert client.post("/api/consent").status_code == 204
    assert client.post("/api/session", json={"frame_ms": 16.7}).status_code == 200
    return client.get("/api/state").json()


def body(state: dict, number: int = 0, **more) -> dict:
    return {"session": state["session"], "number": number, "choice": "left", "response_ms": 400.5, **more}


def contents(study: OpenStudy) -> dict:
    """All rows of all tables."""
    with study.store.read() as transaction:
        return {table.name: transaction.execute(select(table)).all() for table in Base.metadata.sorted_tables}


def test_a_session_goes_from_the_link_to_the_end(study, client, signer):
    state = come(client, signer)
    assert (state["state"], state["total"], len(state["trials"])) == ("active", 25, 25)
    for trial in trials_of(study, state["session"]):
        reply = client.post("/api/answer", json=body(state, trial.number, choice=choice_of("2afc", trial)))
        assert reply.json() == {"next": trial.number + 1, "correct": None}
    assert client.get("/api/state").json()["state"] == "done"
    with study.store.read() as transaction:
        judgments = transaction.scalars(select(Judgment).where(Judgment.session_id == state["session"])).all()
    assert len(judgments) == 10


def test_the_images_are_the_pixels_of_the_dataset(study, client, signer):
    state = come(client, signer)
    trial = next(one for one in trials_of(study, state["session"]) if one.role == "item")
    shown = {}
    for place in state["places"]:
        reply = client.get(f"/images/{state['session']}/{trial.number}/{place}.png")
        assert reply.headers["content-type"] == "image/png"
        shown[place] = np.asarray(Image.open(io.BytesIO(reply.content)))
    with study.store.read() as transaction:
        item = transaction.get_one(Item, trial.source_id)
        folder = study.examples.root / item.kind / item.phase / item.split
        name = item.name
    order = ("ref", "p1", "p0") if trial.swapped else ("ref", "p0", "p1")
    for place, field in zip(("ref", "left", "right"), order, strict=True):
        with Image.open(folder / field / f"{name}.png") as image:
            assert np.array_equal(shown[place], np.asarray(image)), place


def test_the_images_of_an_item_that_has_changed_are_not_shown(client, signer, monkeypatch, capsys):
    state = come(client, signer)
    pictures.cache_clear()
    monkeypatch.setattr("lpips_repro.collect.stimuli.digest_of", lambda _: "other")
    assert client.get(f"/images/{state['session']}/0/ref.png").status_code == 503
    assert "has changed since the study began: restore its images" in capsys.readouterr().err


def test_training_says_whether_an_answer_was_right_and_nothing_else_does(study, client, signer):
    state = come(client, signer, "jnd")
    assert [one["training"] for one in state["trials"]] == [True] * 10 + [False] * 45
    trials = trials_of(study, state["session"])
    timing = [0.0, 1000.0, 1250.0, 2250.0]
    right = [trial.number % 2 == 0 for trial in trials[:12]]
    said = [
        client.post(
            "/api/answer", json=body(state, trial.number, choice=choice_of("jnd", trial, good), timing=timing)
        ).json()["correct"]
        for trial, good in zip(trials, right, strict=False)
    ]
    assert said == [*right[:10], None, None]


def test_a_lost_reply_can_be_asked_for_again(study, client, signer):
    state = come(client, signer)
    first = client.post("/api/answer", json=body(state))
    before = contents(study)
    assert client.post("/api/answer", json=body(state)).json() == first.json()
    assert contents(study) == before


def refused(client, state, case):
    """Send a bad request; its status."""
    answer = body(state)
    bad = {
        "replayed": {**answer, "choice": "right"},
        "late": {**answer, "number": 2},
        "no trial": {**answer, "number": 10_000},
        "huge number": {**answer, "number": 10**30},
        "negative": {**answer, "number": -1},
        "other kind": {**answer, "number": 1, "choice": "same"},
        "no choice": {**answer, "number": 1, "choice": "middle"},
        "negative time": {**answer, "number": 1, "response_ms": -1},
        "text": {**answer, "number": "1"},
        "timing of a pair": {**answer, "number": 1, "timing": [0, 1, 2, 3]},
        "unknown field": {**answer, "number": 1, "excluded": False},
        "list": [answer],
        "no session": {**answer, "session": 10_000},
    }
    return client.post("/api/answer", json=bad[case]).status_code


@pytest.mark.parametrize(
    ("case", "status"),
    [
        ("replayed", 409),
        ("late", 409),
        ("no trial", 404),
        ("no session", 404),
        *((case, 422) for case in ("huge number", "negative", "other kind", "no choice", "negative time", "text")),
        *((case, 422) for case in ("timing of a pair", "unknown field", "list")),
    ],
)
def test_bad_answers_change_nothing(study, client, signer, case, status):
    state = come(client, signer)
    client.post("/api/answer", json=body(state))
    before = contents(study)
    assert refused(client, state, case) == status
    assert contents(study) == before


def test_numbers_that_are_none_are_refused(study, client, signer):
    state = come(client, signer)
    before = contents(study)
    for number in ("NaN", "Infinity", "1e999"):
        text = json.dumps(body(state)).replace("400.5", number)
        reply = client.post("/api/answer", content=text, headers={"Content-Type": "application/json"})
        assert reply.status_code == 422, number
    assert contents(study) == before


@pytest.mark.parametrize("text", [b"", b"{", b"[" * 10_000, b"\xff{}", b"null", b'{"session": 1, "session": 2}'])
def test_bodies_that_are_no_answer_are_refused(study, client, signer, text):
    come(client, signer)
    before = contents(study)
    reply = client.post("/api/answer", content=text, headers={"Content-Type": "application/json"})
    assert reply.status_code in (400, 422)
    assert contents(study) == before


@pytest.mark.parametrize(
    "timing",
    [[0, 1000, 900, 2250], [0, 1000, 1250], [0, 1, 2, 3, 4], [0, 1, 2, -3], [0, 1, 2, 1e99], [0, 1, 2, "3"], None],
)
def test_times_that_cannot_be_are_refused(study, client, signer, timing):
    state = come(client, signer, "jnd")
    before = contents(study)
    assert client.post("/api/answer", json=body(state, choice="same", timing=timing)).status_code == 422
    assert contents(study) == before


def test_an_answer_that_comes_after_the_session_was_taken_back_is_refused(study, client, signer, monkeypatch):
    state = come(client, signer)
    later = dataclasses.replace(study, clock=lambda: time.time() + 3601)
    assert drop_expired(later) > 0
    before = contents(study)
    assert client.post("/api/answer", json=body(state)).status_code == 410
    assert contents(study) == before
    assert client.get("/api/state").json()["state"] == "ready"


def test_another_workers_session_is_not_found(study, client, signer):
    theirs = come(client, signer)
    mine = come(client, signer)
    assert theirs["session"] != mine["session"]
    before = contents(study)
    assert client.post("/api/answer", json=body(theirs)).status_code == 404
    assert client.get(f"/images/{theirs['session']}/0/ref.png").status_code == 404
    assert contents(study) == before


def test_forged_and_expired_links_and_cookies_are_refused(study, client, signer, monkeypatch):
    link, seat = signer.link("2afc", "a"), signer.seat(Seat(1, "2afc"))
    other = Signer("other secret", study.cfg.name, 10**9, 10**9)
    elsewhere = Signer(signer._secret, "another study", 10**9, 10**9)
    before = contents(study)
    for token in (other.link("2afc", "a"), elsewhere.link("2afc", "a"), link[:-2], seat, "x", "%2e%2e%2fx"):
        assert client.get(f"/join/{token}").status_code in (403, 404), token
    assert client.get("/api/state").status_code == 401
    for cookie in (other.seat(Seat(1, "2afc")), seat[:-2], link, "x"):
        client.cookies.set("seat", cookie)
        assert client.get("/api/state").status_code == 403, cookie
        client.cookies.clear()
    monkeypatch.setattr(signer, "link_seconds", -1)
    monkeypatch.setattr(signer, "seat_seconds", -1)
    assert client.get(f"/join/{link}").status_code == 403
    client.cookies.set("seat", seat)
    assert client.get("/api/state").status_code == 403
    assert contents(study) == before


def test_workers_of_platforms_are_hashed(study, client, signer):
    link, known = f"/join/{signer.link('2afc', None)}", len(contents(study)["workers"])
    for query, status in (("", 400), ("?PROLIFIC_PID=", 400), ("?PROLIFIC_PID=a&workerId=b", 400)):
        assert client.get(link + query, follow_redirects=False).status_code == status
    assert client.get(f"{link}?participant={'x' * 201}", follow_redirects=False).status_code == 400
    for _ in range(2):
        reply = client.get(f"{link}?PROLIFIC_PID=5f2d&STUDY_ID=1", follow_redirects=False)
        assert (reply.status_code, reply.headers["location"]) == (303, "/")
        assert "HttpOnly" in reply.headers["set-cookie"]
    assert len(contents(study)["workers"]) == known + 1
    assert {len(worker.key) for worker in contents(study)["workers"]} == {64}
    assert "5f2d" not in str(contents(study))


def test_changes_need_the_token_of_the_page(study, client, signer):
    state = come(client, signer)
    before = contents(study)
    for token in (b"", b"0" * 64, b"\xe9"):
        headers = {"X-CSRF-Token": token}
        assert client.post("/api/answer", json=body(state), headers=headers).status_code == 403
        assert client.post("/api/session", json={}, headers=headers).status_code == 403
    assert contents(study) == before


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "evil.example"},
    ],
    ids=str,
)
def test_other_sites_change_nothing(study, client, signer, headers):
    state = come(client, signer)
    before = contents(study)
    assert client.post("/api/answer", json=body(state), headers=headers).status_code in (400, 403)
    assert contents(study) == before
    assert client.post("/api/answer", json=body(state), headers={"Origin": ADDRESS}).status_code == 200


def test_bodies_that_are_too_large_are_refused_whether_or_not_they_say_so(study, client, signer):
    state = come(client, signer)
    before = contents(study)
    large = json.dumps(body(state)) + " " * LARGEST_BODY
    sent = {"Content-Type": "application/json"}
    assert client.post("/api/answer", content=large, headers=sent).status_code == 413
    assert client.post("/api/answer", content=iter([large.encode()]), headers=sent).status_code == 413
    assert contents(study) == before


def test_a_body_that_does_not_arrive_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("lpips_repro.collect.guard.LONGEST_SECONDS", 0.01)
    said = []

    async def receive():
        await asyncio.sleep(60)

    async def send(message):
        said.append(message)

    scope = {"type": "http", "method": "POST", "path": "/api/answer", "headers": []}
    asyncio.run(Guard(None)(scope, receive, send))
    assert said[0]["status"] == 408


@pytest.mark.parametrize(
    "path",
    [
        *("/images/1/0/p0.png", "/images/1/0/ref", "/images/1/0/..%2f..%2fsecret.png", "/images/x/0/ref.png"),
        *("/page/package.json", "/page/..%2f..%2fsettings.py", "/page/../secret", "/images/1/0/left%00.png"),
        *(
            "/page/node_modules/jspsych/package.json",
            "/images/1/99999999999999999999/ref.png",
            "/docs",
            "/openapi.json",
        ),
    ],
)
def test_paths_lead_to_nothing_else(client, signer, path):
    come(client, signer)
    assert client.get(path).status_code in (404, 422)


@pytest.mark.parametrize("path", ["/join/x", "/nothing", "/api/state", "/page/x.js"])
def test_a_browser_gets_a_page_that_says_why(client, path):
    reply = client.get(path, headers={"Accept": "text/html,*/*;q=0.8"})
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert "<h1>This cannot be opened</h1>" in reply.text
    plain = client.get(path)
    assert (plain.status_code, escape(plain.json()["detail"]) in reply.text) == (reply.status_code, True)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE"])
def test_other_methods_are_refused(client, method):
    assert client.request(method, "/api/answer").status_code == 405


def test_every_response_has_the_headers(client, signer):
    replies = [client.get("/"), client.get("/nothing"), client.get("/admin"), client.post("/api/answer")]
    replies += [client.get("/api/state"), client.post("/", content=b"x" * 20_000), client.get("/page/study.js")]
    for reply in replies:
        assert {name: reply.headers.get(name) for name in HEADERS} == HEADERS
    policy = HEADERS["Content-Security-Policy"]
    assert "script-src 'self';" in policy and "frame-ancestors 'none'" in policy
    assert (HEADERS["X-Content-Type-Options"], HEADERS["Referrer-Policy"]) == ("nosniff", "no-referrer")


def test_the_admin_page_needs_its_token(study, client):
    token = Path(study.cfg.store, "admin-token").read_text()
    for path in ("/admin/progress.json", "/admin/answers.csv"):
        assert client.get(path).status_code == 401
    assert "<table>" not in client.get("/admin").text
    assert client.post("/admin", data={"token": token[:-1]}).status_code == 401
    assert client.post("/admin", data={"token": token}, headers={"Origin": "null"}).status_code == 200  # as browsers do
    assert "<table>" in client.get("/admin").text
    assert client.get("/admin/progress.json").json()["splits"][1]["wanted"] == 6000


def test_the_admin_page_is_off_elsewhere_unless_it_is_asked_for(study, signer):
    for more, status in (
        ({}, 200),
        ({"host": "0.0.0.0"}, 404),
        ({"host": "0.0.0.0", "admin": True}, 200),
        ({"admin": False}, 404),
    ):
        other = dataclasses.replace(study, cfg=dataclasses.replace(study.cfg, **more))
        with TestClient(make_app(other, signer), base_url=ADDRESS) as client:
            assert client.get("/admin").status_code == status, more


def test_the_end_of_a_session_names_the_address_of_the_platform(dataset, tmp_path):
    study = open_study(config(dataset, tmp_path / "store", "completion='https://app.example/c?cc=1'"))
    signer = signer_of(study.cfg)
    with TestClient(make_app(study, signer), base_url=ADDRESS) as client:
        state = come(client, signer)
        for trial in trials_of(study, state["session"]):
            client.post("/api/answer", json=body(state, trial.number, choice=choice_of("2afc", trial)))
        state = client.get("/api/state").json()
        assert (state["state"], state["completion"]) == ("done", "https://app.example/c?cc=1")
        assert client.post("/api/session", json={}).status_code == 409
    study.store.close()


def test_an_excluded_worker_is_told_before_any_instructions(study, client, signer):
    name = next(NAMES)
    state = come(client, signer, name=name)
    for trial in trials_of(study, state["session"]):
        client.post("/api/answer", json=body(state, trial.number, choice=choice_of("2afc", trial, attentive=False)))
    state = client.get("/api/state").json()
    assert (state["state"], state["more"]) == ("done", False)
    client.get(f"/join/{signer.link('jnd', name)}", follow_redirects=False)
    assert client.get("/api/state").json()["state"] == "closed"


def test_all_answers_are_in_the_csv_with_numbers_for_people(study, client, signer):
    state = come(client, signer)
    client.post("/api/answer", json=body(state))
    header = {"Authorization": f"Bearer {Path(study.cfg.store, 'admin-token').read_text()}"}
    lines = client.get("/admin/answers.csv", headers=header).text.splitlines()
    assert lines[0].startswith("kind,phase,split,name,role,shown,swapped,answer,correct,worker,excluded,session")
    with study.store.read() as transaction:
        assert len(lines) == 1 + len(transaction.scalars(select(Trial).where(Trial.answer.is_not(None))).all())
    assert ",400.5,16.7," in lines[-1]
