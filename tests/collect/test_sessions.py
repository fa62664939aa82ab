"""What sessions hold, who gets which items, and whose judgments count."""

import dataclasses
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import event, select

from lpips_repro.collect.answers import store
from lpips_repro.collect.models import Item, Judgment, Lease, Session, Trial, Worker
from lpips_repro.collect.protocol import is_excluded
from lpips_repro.collect.refusal import Refusal
from lpips_repro.collect.sessions import begin, drop_expired, join
from lpips_repro.collect.study import open_study
from lpips_repro.errors import UserError
from tests.collect.conftest import config, write_dataset
from tests.collect.sitting import answer_of, counted, joined, sit, targets, trials_of


def taken(study):
    with study.store.read() as transaction:
        return dict(transaction.execute(select(Item.id, Item.taken)).all())


def test_a_session_of_triplets_has_fifteen_sentinels_among_the_items(study):
    trials = trials_of(study, begin(study, joined(study, "a"), "2afc", None))
    assert Counter((one.role, one.shown) for one in trials) == {("item", "item"): 10, ("sentinel", "noise"): 15}


def test_a_session_of_pairs_trains_with_ten_and_has_forty_sentinels(study):
    trials = trials_of(study, begin(study, joined(study, "a"), "jnd", None))
    assert Counter((one.role, one.shown) for one in trials[:10]) == {
        ("training", "same"): 4,
        ("training", "noise"): 1,
        ("training", "different"): 5,
    }
    rest = Counter((one.role, one.shown) for one in trials[10:])
    assert rest == {("sentinel", "same"): 32, ("sentinel", "noise"): 8, ("item", "item"): 5}


def test_a_whole_session_of_pairs_is_of_the_papers_160(tmp_path):
    study = open_study(config(write_dataset(tmp_path / "set", 0, 0, 130, 8), tmp_path / "store", "size=8"))
    trials = trials_of(study, begin(study, joined(study, "a"), "jnd", None))
    assert Counter(one.role for one in trials) == {"training": 10, "sentinel": 40, "item": 120}


@pytest.mark.parametrize(
    ("sentinels", "wrong", "excluded"), [(15, 1, False), (15, 2, True), (40, 2, False), (40, 3, True)]
)
def test_workers_below_93_percent_of_the_sentinels_are_excluded(sentinels, wrong, excluded):
    assert is_excluded(sentinels - wrong, sentinels) == excluded


def test_consent_comes_first(study):
    with pytest.raises(Refusal, match="Consent") as refusal:
        begin(study, join(study, "a"), "2afc", None)
    assert refusal.value.status == 403


def test_a_worker_who_comes_back_goes_on_with_the_same_session(study):
    worker = joined(study, "a")
    session = sit(study, worker, "2afc", most=3)
    assert join(study, "a") == worker
    assert begin(study, worker, "2afc", None) == session


def test_targets_are_met_exactly_by_workers_at_the_same_time(study):
    def work(number):
        while sit(study, joined(study, f"w{number}"), "2afc" if number % 2 else "jnd"):
            pass

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(10)))
    assert counted(study) == targets(study) == taken(study)
    with study.store.read() as transaction:
        pairs = transaction.execute(select(Judgment.item_id, Judgment.worker_id)).all()
        assert transaction.scalar(select(Lease.id)) is None
    assert len(pairs) == len(set(pairs)) == 6 * 5 + 4 * 2 + 5 * 3


def test_an_excluded_workers_judgments_are_kept_and_others_are_collected(study):
    worker = joined(study, "careless")
    session = sit(study, worker, "2afc", attentive=False)
    assert counted(study) == {}
    assert set(taken(study).values()) == {0}
    with study.store.read() as transaction:
        assert transaction.get_one(Worker, worker).excluded
        assert len(transaction.scalars(select(Judgment).where(Judgment.session_id == session)).all()) == 10
    with pytest.raises(Refusal):
        begin(study, worker, "jnd", None)


def test_a_session_of_an_excluded_worker_that_ends_later_does_not_count(study):
    worker = joined(study, "a")
    session = sit(study, worker, "jnd", most=3)
    sit(study, worker, "2afc", attentive=False)
    for trial in trials_of(study, session)[3:]:
        store(study, worker, answer_of("jnd", trial))
    assert counted(study) == {}
    assert set(taken(study).values()) == {0}


def test_the_items_of_a_session_that_was_left_go_to_others(study):
    now = [1000.0]
    study = dataclasses.replace(study, clock=lambda: now[0])
    worker = joined(study, "gone")
    session = sit(study, worker, "2afc", most=12)
    now[0] += 60 * 60
    assert drop_expired(study) == 0
    now[0] += 1
    assert drop_expired(study) == 1
    assert set(taken(study).values()) == {0}
    with study.store.read() as transaction:
        assert transaction.get_one(Session, session).state == "dropped"
        had = set(transaction.scalars(select(Judgment.item_id)))
    assert had
    with pytest.raises(Refusal) as refusal:
        store(study, worker, answer_of("2afc", trials_of(study, session)[12]))
    assert refusal.value.status == 410
    again = trials_of(study, begin(study, worker, "2afc", None))
    assert not had & {one.source_id for one in again if one.role == "item"}


def test_an_answer_is_stored_once(study):
    worker = joined(study, "a")
    first, second, third, *_ = trials_of(study, begin(study, worker, "2afc", None))
    reply = store(study, worker, answer_of("2afc", first))
    assert store(study, worker, answer_of("2afc", first)) == reply
    other = answer_of("2afc", first, attentive=False)
    wrong = [(other, 409), (answer_of("2afc", third), 409), (answer_of("2afc", second)._replace(number=999), 404)]
    wrong += [(answer_of("2afc", second)._replace(choice="same"), 422)]
    wrong += [(answer_of("2afc", second)._replace(timing=[0.0, 1.0, 2.0, 3.0]), 422)]
    for answer, status in wrong:
        with pytest.raises(Refusal) as refusal:
            store(study, worker, answer)
        assert refusal.value.status == status
    with pytest.raises(Refusal) as refusal:
        store(study, joined(study, "b"), answer_of("2afc", second))
    assert refusal.value.status == 404
    with study.store.read() as transaction:
        assert len(transaction.scalars(select(Trial).where(Trial.answer.is_not(None))).all()) == 1


def test_swapped_triplets_are_stored_as_if_they_were_not(study):
    worker = joined(study, "a")
    session = begin(study, worker, "2afc", None)
    for trial in trials_of(study, session):
        store(study, worker, answer_of("2afc", trial)._replace(choice="left"))
    with study.store.read() as transaction:
        values = {one.id: one.swapped for one in transaction.scalars(select(Trial).where(Trial.role == "item"))}
        judgments = dict(transaction.execute(select(Judgment.trial_id, Judgment.value)).all())
    assert judgments == values  # the left one is p1 if they are swapped


def test_a_study_goes_on_with_its_dataset_and_protocol_only(study, tmp_path):
    with pytest.raises(UserError, match=r"^val_votes=4: the study study began with val_votes=5"):
        open_study(dataclasses.replace(study.cfg, val_votes=4))
    with pytest.raises(UserError, match="its observers are human, not simulated"):
        open_study(study.cfg, "simulated")
    with pytest.raises(UserError, match="began with other images"):
        open_study(dataclasses.replace(study.cfg, dataset=str(write_dataset(tmp_path / "other", 7))))


def test_an_answer_takes_six_statements_and_one_commit(study):
    worker = joined(study, "a")
    trials = trials_of(study, begin(study, worker, "2afc", None))
    number = next(one.number for one in trials if one.role == "item" and one.number < len(trials) - 1)
    for trial in trials[:number]:
        store(study, worker, answer_of("2afc", trial))
    said = []
    event.listen(study.store.engine, "before_cursor_execute", lambda *about: said.append(about[2].split()[0]))
    event.listen(study.store.engine, "commit", lambda _: said.append("COMMIT"))
    store(study, worker, answer_of("2afc", trials[number]))
    assert sorted(said) == ["BEGIN", "COMMIT", "DELETE", "INSERT", "SELECT", "SELECT", "UPDATE", "UPDATE"]
