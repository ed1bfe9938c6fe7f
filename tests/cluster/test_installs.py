import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from rollbuild.cluster import (
    AttemptsUsedUp,
    Database,
    Install,
    begin_install,
    count_attempts,
    fail_install,
    find_host,
    find_install,
    finish_install,
    hold_host,
    install_events,
    install_states,
    installs,
    list_events,
    make_url_token,
    new_token,
    note_secrets,
    record_event,
    remove_host,
    schema,
    set_boot,
    set_host,
)
from rollbuild.cluster.install_events import DETAIL_LIMIT
from rollbuild.cluster.installs import STAGES
from rollbuild.errors import RollbuildError

HOST = "compute-0-0"
ADDRESS = "10.1.255.254"
GOOD = ("pre-start", "pre-done", "preinstall", "post-start", "post-done", "first-boot", "ready")


def begin(c: Connection, now: float, *, token: str = "", address: str = ADDRESS, url_token: str = "") -> Install:
    return begin_install(c, HOST, token=token or f"token {now}", address=address, now=now, url_token=url_token)


def test_an_install_from_the_kickstart_to_the_first_boot(cluster: Database) -> None:
    with cluster.writing("test") as c:
        set_boot(c, HOST, "install")
    states = []
    with cluster.recording() as c:
        install = begin(c, 100.0, token="secret")
        assert (install.state, install.stage, install.fetches, install.given) == ("given", "ks-fetched", 1, 100.0)
        for number, stage in enumerate(GOOD):
            install = record_event(c, install, stage, f"detail {number}", 110.0 + number)
            states.append((install.state, install.stage, find_host(c, HOST).boot_action))
        found = find_install(c, token="secret")
        assert found == install == find_install(c, host=HOST) == install_states(c)[HOST]
        events = [(event.stage, event.detail) for event in list_events(c, HOST)]
    assert states == [
        ("installing", "pre-start", "install"),
        ("installing", "pre-done", "install"),
        ("installing", "preinstall", "install"),
        ("installing", "post-start", "install"),
        ("installed", "post-done", "os"),
        ("installed", "first-boot", "os"),
        ("installed", "ready", "os"),
    ]
    assert (install.finished, install.last_event, install.detail) == (114.0, 116.0, "detail 6")
    assert events == [("ks-fetched", ADDRESS), *((stage, f"detail {n}") for n, stage in enumerate(GOOD))]


def test_the_database_holds_no_token(cluster: Database) -> None:
    with cluster.recording() as c:
        begin(c, 1.0, token="secret")
        url_token = make_url_token(c, HOST, 2.0)
        rows = c.execute(select(schema.installs)).mappings().all()
        stored = [value for row in rows for value in row.values()]
        assert find_install(c, token="secre") is None
        assert find_install(c, token="\udc80 \0") is None
        assert find_install(c, url_token=url_token) is not None
        assert find_install(c, url_token="") is None
    assert hashlib.sha256(b"secret").hexdigest() in stored
    assert not {"secret", url_token} & set(map(str, stored))


def test_tokens_differ() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(len(token) >= 43 for token in tokens)


def test_asking_again_at_once_is_the_same_attempt(cluster: Database) -> None:
    with cluster.recording() as c:
        first = begin(c, 100.0, token="one")
        for number in range(5):
            again = begin(c, 200.0 + number, token=f"two {number}")
        assert again.id == first.id
        assert (again.fetches, again.given) == (6, 100.0)
        assert count_attempts(c, HOST) == 1
        assert find_install(c, token="one") is None
        assert find_install(c, token="two 4") == again


@pytest.mark.parametrize(
    ("address", "now", "has_event"),
    [("10.1.255.253", 101.0, False), (ADDRESS, 701.0, False), (ADDRESS, 101.0, True)],
    ids=["other address", "later", "after an event"],
)
def test_otherwise_it_is_another_attempt(cluster: Database, address: str, now: float, has_event: bool) -> None:
    with cluster.recording() as c:
        first = begin(c, 100.0)
        if has_event:
            record_event(c, first, "pre-start", "", 100.5)
        second = begin(c, now, address=address)
        assert second.id != first.id
        assert count_attempts(c, HOST) == 2


def test_three_attempts_and_no_more(cluster: Database) -> None:
    with cluster.writing("test") as c:
        set_boot(c, HOST, "install")
    with cluster.recording() as c:
        for number in range(3):
            install = begin(c, 1000.0 * number)
            record_event(c, install, "failed", "no disk", 1000.0 * number + 1)
    with cluster.recording() as c, pytest.raises(AttemptsUsedUp) as caught:
        begin(c, 9000.0)
    assert (caught.value.host, caught.value.attempts) == (HOST, 3)
    with cluster.recording() as c:
        hold_host(c, HOST, caught.value.message)
        host = find_host(c, HOST)
        assert (host.held, host.boot_action) == (caught.value.message, "os")
        with pytest.raises(RollbuildError, match=r"is held: .* 3 times"):
            begin(c, 9001.0)
    with cluster.writing("test") as c:
        set_boot(c, HOST, "install")
    with cluster.recording() as c:
        assert count_attempts(c, HOST) == 0
        assert begin(c, 9002.0).state == "given"
        assert count_attempts(c, HOST) == 1


def test_another_limit(cluster: Database) -> None:
    with cluster.recording() as c:
        begin(c, 1.0)
        with pytest.raises(AttemptsUsedUp):
            begin_install(c, HOST, token="x", address="10.1.0.9", now=2.0, limit=1)


def test_success_lets_the_counting_begin_again(cluster: Database) -> None:
    with cluster.recording() as c:
        for number in range(9):
            install = begin(c, 1000.0 * number)
            record_event(c, install, "failed" if number % 3 else "post-done", "", 1000.0 * number + 1)
            assert count_attempts(c, HOST) == number % 3


def test_an_order_to_install_also_makes_a_new_attempt_of_a_second_fetch(cluster: Database) -> None:
    with cluster.recording() as c:
        first = begin(c, 100.0)
    with cluster.writing("test") as c:
        set_boot(c, HOST, "install")
    with cluster.recording() as c:
        assert begin(c, 101.0).id != first.id
        assert count_attempts(c, HOST) == 1


def test_events_of_a_former_attempt_change_nothing(cluster: Database) -> None:
    with cluster.writing("test") as c:
        set_boot(c, HOST, "install")
    with cluster.recording() as c:
        first = record_event(c, begin(c, 1.0), "pre-start", "", 2.0)
        second = begin(c, 3.0)
        for stage in (*GOOD, "failed"):
            record_event(c, first, stage, "late", 4.0)
        finish_install(c, first, 5.0)
        fail_install(c, first, "late", 5.0)
        assert find_install(c, host=HOST) == second
        assert second.state == "given"
        assert find_host(c, HOST).boot_action == "install"
        assert [event.stage for event in list_events(c, HOST)][-8:] == [*GOOD, "failed"]


def test_a_boot_of_the_own_system_ends_an_install_that_failed(cluster: Database) -> None:
    with cluster.writing("test") as c:
        set_boot(c, HOST, "install")
    with cluster.recording() as c:
        install = record_event(c, begin(c, 1.0), "failed", "the cause", 2.0)
        assert (install.state, install.stage, install.detail, install.finished) == (
            "failed",
            "failed",
            "the cause",
            2.0,
        )
        install = record_event(c, install, "failed", "what followed", 3.0)
        assert install.detail == "the cause"
        assert record_event(c, install, "post-start", "", 3.0).state == "failed"
        assert find_host(c, HOST).boot_action == "install"
        assert record_event(c, install, "first-boot", "", 4.0).state == "installed"
        assert find_host(c, HOST).boot_action == "os"
        assert count_attempts(c, HOST) == 0


def test_a_failure_of_the_first_boot_shows_and_passes(cluster: Database) -> None:
    with cluster.recording() as c:
        install = record_event(c, begin(c, 1.0), "post-done", "", 2.0)
        install = record_event(c, install, "failed", "no network", 3.0)
        assert (install.state, install.stage, install.detail) == ("installed", "failed", "no network")
        install = record_event(c, install, "first-boot", "", 4.0)
        assert (install.state, install.stage) == ("installed", "first-boot")


def test_an_order_given_after_the_install_is_done_stays(cluster: Database) -> None:
    with cluster.recording() as c:
        install = record_event(c, begin(c, 1.0), "post-done", "", 2.0)
    with cluster.writing("test") as c:
        set_boot(c, HOST, "install")
    with cluster.recording() as c:
        for stage in ("post-done", "first-boot", "ready"):
            record_event(c, install, stage, "", 3.0)
        assert find_host(c, HOST).boot_action == "install"


def test_a_success_lifts_the_hold(cluster: Database) -> None:
    with cluster.recording() as c:
        install = begin(c, 1.0)
        hold_host(c, HOST, "tried too often\0")
        assert find_host(c, HOST).held == "tried too often"
        record_event(c, install, "ready", "", 2.0)
        assert find_host(c, HOST).held == ""


def test_finishing_and_failing_twice(cluster: Database) -> None:
    with cluster.recording() as c:
        install = begin(c, 1.0)
        assert fail_install(c, install, "why", 2.0).state == "failed"
        done = finish_install(c, install, 3.0)
        assert (done.state, done.finished) == ("installed", 3.0)
        assert finish_install(c, install, 4.0).finished == 3.0
        assert fail_install(c, install, "late", 5.0).state == "installed"


def test_stages_of_another_name_are_kept_only(cluster: Database) -> None:
    with cluster.recording() as c:
        install = record_event(c, begin(c, 1.0), "slurm-hardware", "NodeName=x CPUs=4", 2.0)
        assert (install.state, install.stage) == ("installing", "ks-fetched")
        assert list_events(c, HOST)[-1].detail == "NodeName=x CPUs=4"


@pytest.mark.parametrize("stage", ["", "Ready", "a b", "../x", "-x", "a" * 65, "x\n", "é"])
def test_what_is_no_stage(cluster: Database, stage: str) -> None:
    with cluster.recording() as c:
        install = begin(c, 1.0)
        with pytest.raises(RollbuildError, match="no name of a stage"):
            record_event(c, install, stage, "", 2.0)
        assert len(list_events(c, HOST)) == 1


@pytest.mark.parametrize("detail", ["x" * 200_000, "é" * 100_000, "a\0b\ud800c", "x" * DETAIL_LIMIT])
def test_details_have_a_limit(cluster: Database, detail: str) -> None:
    with cluster.recording() as c:
        install = record_event(c, begin(c, 1.0), "failed", detail, 2.0)
        kept = list_events(c, HOST)[-1].detail
    assert len(kept.encode()) <= DETAIL_LIMIT
    assert len(install.detail) <= 4096
    assert "\0" not in kept
    if len(detail) > DETAIL_LIMIT:
        assert kept.endswith("(cut)")
    if detail[0] == "x" and len(detail) == DETAIL_LIMIT:
        assert kept == detail
    if detail[0] == "a":
        assert kept == "ab?c"


def test_the_last_events_of_each_host_are_kept(cluster: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    assert install_events.KEPT_EVENTS == 200
    monkeypatch.setattr(install_events, "KEPT_EVENTS", 20)
    with cluster.recording() as c:
        other = begin_install(c, "compute-0-1", token="other", address="10.1.255.253", now=1.0)
        install = begin(c, 1.0)
        for number in range(27):
            record_event(c, install, "packages", str(number), 2.0 + number)
        events = list_events(c, HOST)
        assert len(list_events(c, other.host)) == 1
    assert [event.detail for event in events] == [str(number) for number in range(7, 27)]


def test_old_attempts_are_forgotten_and_counting_goes_on(cluster: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installs, "KEPT_INSTALLS", 10)
    with cluster.recording() as c:
        for number in range(14):
            install = begin(c, 1000.0 * number)
            record_event(c, install, "post-done" if number % 2 else "failed", "", 1000.0 * number + 1)
        ids = c.execute(select(schema.installs.c.id).where(schema.installs.c.host == HOST)).scalars().all()
        assert len(ids) == 10
        assert max(ids) == install.id
        assert count_attempts(c, HOST) == 0


def test_a_url_is_good_for_one_install(cluster: Database) -> None:
    with cluster.recording() as c:
        url_token = make_url_token(c, HOST, 1.0)
        waiting = find_install(c, url_token=url_token)
        assert waiting is not None
        assert (waiting.state, waiting.host) == ("waiting", HOST)
        assert find_install(c, host=HOST) is None
        assert install_states(c) == {}
        install = begin(c, 2.0, url_token=url_token)
        assert install.created == 1.0
        assert begin(c, 300.0, url_token=url_token).id == install.id
        for address, now in ((ADDRESS, 700.0), ("10.1.255.250", 3.0)):
            with pytest.raises(RollbuildError, match="was used"):
                begin(c, now, address=address, url_token=url_token)
        record_event(c, install, "pre-start", "", 310.0)
        with pytest.raises(RollbuildError, match="was used"):
            begin(c, 311.0, url_token=url_token)
        assert count_attempts(c, HOST) == 1


def test_a_url_of_nobody_and_of_another_host(cluster: Database) -> None:
    with cluster.recording() as c:
        url_token = make_url_token(c, "compute-0-1", 1.0)
        for wrong in (url_token, "nonsense"):
            with pytest.raises(RollbuildError, match="not known"):
                begin(c, 2.0, url_token=wrong)


def test_a_new_url_ends_those_before(cluster: Database) -> None:
    with cluster.recording() as c:
        used, unused = make_url_token(c, HOST, 1.0), ""
        begin(c, 2.0, url_token=used)
        unused = make_url_token(c, HOST, 3.0)
        newest = make_url_token(c, HOST, 4.0)
        for old in (used, unused):
            with pytest.raises(RollbuildError, match="not known"):
                begin(c, 5.0, url_token=old)
        assert begin(c, 6.0, url_token=newest).state == "given"
        assert count_attempts(c, HOST) == 2


def test_a_url_made_before_the_order_to_install_counts(cluster: Database) -> None:
    """SQLite gives the number of a removed row away again; the attempt must not be taken for an old one."""
    with cluster.recording() as c:
        url_token = make_url_token(c, HOST, 1.0)
    with cluster.writing("test") as c:
        set_boot(c, HOST, "install")
    with cluster.recording() as c:
        begin(c, 2.0, url_token=url_token)
        assert count_attempts(c, HOST) == 1


def test_a_url_does_not_go_round_the_limit(cluster: Database) -> None:
    with cluster.recording() as c:
        for number in range(3):
            begin(c, 1000.0 * number)
        url_token = make_url_token(c, HOST, 9000.0)
        with pytest.raises(AttemptsUsedUp):
            begin(c, 9001.0, url_token=url_token)


def test_secrets_are_counted(cluster: Database) -> None:
    with cluster.recording() as c:
        install = begin(c, 1.0)
        assert note_secrets(c, note_secrets(c, install)).secrets_given == 2


def test_an_install_goes_with_its_host(cluster: Database) -> None:
    with cluster.recording() as c:
        begin(c, 1.0, token="secret")
    with cluster.writing("test") as c:
        set_host(c, HOST, name="compute-0-9")
        assert [event.stage for event in list_events(c, "compute-0-9")] == ["ks-fetched"]
        assert install_states(c).keys() == {"compute-0-9"}
        remove_host(c, "compute-0-9")
        assert install_states(c) == {}
        assert find_install(c, token="secret") is None


@pytest.mark.parametrize(
    "act", [begin, lambda c, now: make_url_token(c, HOST, now), lambda c, now: hold_host(c, HOST, "")]
)
def test_a_host_that_is_not_there(database: Database, act: object) -> None:
    with database.recording() as c, pytest.raises(RollbuildError, match="not in cluster"):
        act(c, 1.0)  # type: ignore[operator]


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from((*STAGES, "slurm-hardware", "again")), max_size=8))
def test_whatever_comes_in_whatever_order(cluster: Database, stages: Sequence[str]) -> None:
    """Installed once, installed for good; and the boot action is os exactly from then on."""
    with cluster.writing("test") as c:
        set_boot(c, HOST, "install")
    with cluster.recording() as c:
        install = begin(c, 1.0, token=new_token())
        is_done = False
        for stage in stages:
            install = record_event(c, install, stage, "", 2.0)
            is_done = is_done or stage in ("post-done", "first-boot", "ready")
            assert (install.state == "installed") == is_done
            assert find_host(c, HOST).boot_action == ("os" if is_done else "install")
            assert (install.finished > 0) == (install.state in ("installed", "failed"))
