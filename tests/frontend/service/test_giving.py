"""GET /ks/: who gets a Kickstart, what it holds, and what is noted before it leaves."""

import pytest

from rollbuild.cluster import (
    count_attempts,
    find_host,
    find_install,
    hold_host,
    list_events,
    make_url_token,
    set_interface,
)
from tests.frontend.service.conftest import ADDRESSES, DONE, HOST, MACS, OTHER, Service, token_in

MAC = {"X-RHN-Provisioning-MAC-0": f"eth0 {MACS[HOST].upper()}"}
FORBIDDEN = "not for you, or not now: the log of the front end says why\n"


def test_a_host_gets_its_kickstart_and_the_install_is_noted(service: Service) -> None:
    answer = service.ask("GET", f"/ks/{HOST}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    text = answer.text
    assert "rb_host='compute-0-0'" in text
    assert "rb_url='http://10.1.1.1/events/'" in text
    assert "echo 'plain' 100 0 10.1.255.254 52:54:00:aa:10:00\n" in text
    assert "4 hosts, rollbuild-roll-base\n" in text
    with service.front_end.database.reading() as c:
        install = find_install(c, token=token_in(text))
        assert install is not None
        assert (install.host, install.address, install.state) == (HOST, ADDRESSES[HOST], "given")
        assert find_host(c, HOST).boot_action == "install"
        assert [event.stage for event in list_events(c, HOST)] == ["ks-fetched"]


WHO: dict[str, tuple[str, str, dict[str, str], int]] = {
    "its address": (HOST, ADDRESSES[HOST], {}, 200),
    "another host's address": (HOST, ADDRESSES[OTHER], {}, 403),
    "another host's address with the MAC, which anyone can name": (HOST, ADDRESSES[OTHER], MAC, 403),
    "an address of DHCP with the MAC": (HOST, "10.1.200.7", MAC, 200),
    "an address of DHCP without": (HOST, "10.1.200.7", {}, 403),
    "an address of DHCP with the MAC of another": (OTHER, "10.1.200.7", MAC, 403),
    "another network with the MAC": (HOST, "192.0.2.7", MAC, 403),
    "a MAC inside of a longer one": (HOST, "10.1.200.7", {"X-RHN-Provisioning-MAC-0": f"ib0 80:{MACS[HOST]}"}, 403),
    "a MAC in another header": (HOST, "10.1.200.7", {"X-MAC": MACS[HOST]}, 403),
    "a host that is not to install": (DONE, ADDRESSES[DONE], {}, 403),
    "no such host": ("compute-9-9", ADDRESSES[HOST], {}, 403),
    "the front end itself": ("frontend-0-0", "10.1.1.1", {}, 403),
    "no address": (HOST, "unknown", {}, 403),
    "no address with the MAC": (HOST, "", MAC, 403),
    "an IPv6 address with the MAC": (HOST, "2001:db8::7", MAC, 403),
    "a mapped address": (HOST, f"::ffff:{ADDRESSES[HOST]}", {}, 200),
    "a chain whose last is the proxy's": (HOST, f"192.0.2.1, {ADDRESSES[HOST]}", {}, 200),
    "a chain whose first was made up": (HOST, f"{ADDRESSES[HOST]}, 192.0.2.1", {}, 403),
}


def test_who_gets_it(service: Service) -> None:
    fetched = 0
    for case, (host, address, headers, status) in WHO.items():
        answer = service.ask("GET", f"/ks/{host}", of=address, headers=headers)
        fetched += status == 200
        assert answer.status_code == status, case
        assert status == 200 or answer.text == FORBIDDEN, case
        with service.front_end.database.reading() as c:
            assert sum(event.stage == "ks-fetched" for event in list_events(c, HOST)) == fetched, case
            assert find_install(c, host=OTHER) is None
        service.order(HOST)  # so that no case is one attempt too many


TLS: dict[str, tuple[str, str, bool, int]] = {
    "no attribute, plain": ("", "", False, 200),
    "no attribute, TLS": ("", "", True, 200),
    "host, plain": ("host", "yes", False, 403),
    "host, TLS": ("host", "yes", True, 200),
    "appliance, plain": ("appliance", "on", False, 403),
    "all, plain": ("global", "true", False, 403),
    "it says no": ("host", "no", False, 200),
}


@pytest.mark.parametrize(("scope", "value", "tls", "status"), TLS.values(), ids=TLS)
def test_a_host_may_have_its_kickstart_over_tls_only(
    service: Service, scope: str, value: str, tls: bool, status: int
) -> None:
    if scope:
        service.set(scope, {"host": HOST, "appliance": "compute"}.get(scope, ""), "kickstart_tls", value)
    with service.front_end.database.recording() as c:
        token = make_url_token(c, HOST, service.clock())
    for method, path in (("HEAD", f"/ks/{HOST}"), ("GET", f"/ks/{HOST}"), ("GET", f"/ks/t/{token}")):
        answer = service.ask(method, path, tls=tls)
        assert answer.status_code == status, path
        assert status == 200 or method == "HEAD" or answer.text == FORBIDDEN
    with service.front_end.database.reading() as c:
        assert bool(count_attempts(c, HOST)) == (status == 200)
    # Who speaks to the service itself cannot claim to have come by TLS.
    claims = {"X-Forwarded-Proto": "https"}
    direct = service.ask_directly("GET", f"/ks/{HOST}", peer=ADDRESSES[HOST], headers=claims)
    assert direct.status_code == (403 if value in ("yes", "on", "true") else 200)


def test_only_a_proxy_of_this_machine_speaks_for_others(service: Service) -> None:
    headers = {"X-Forwarded-For": ADDRESSES[HOST]}
    assert service.ask_directly("GET", f"/ks/{HOST}", peer="10.1.200.7", headers=headers).status_code == 403
    assert service.ask_directly("GET", f"/ks/{HOST}", peer="127.0.0.1").status_code == 403
    assert service.ask_directly("GET", f"/ks/{HOST}", peer=ADDRESSES[HOST]).status_code == 200


def test_a_held_host_gets_nothing(service: Service) -> None:
    with service.front_end.database.writing("hold") as c:
        hold_host(c, HOST, "it burns")
    answer = service.ask("GET", f"/ks/{HOST}")
    assert (answer.status_code, answer.text) == (403, FORBIDDEN)


def test_a_host_without_an_address_of_its_own_names_its_mac(service: Service) -> None:
    with service.front_end.database.writing("set") as c:
        set_interface(c, HOST, "eth0", address="")
    assert service.ask("GET", f"/ks/{HOST}", of="10.1.200.7", headers=MAC).status_code == 200


def test_head_changes_nothing(service: Service) -> None:
    before = state(service)
    head = service.ask("HEAD", f"/ks/{HOST}")
    assert (head.status_code, head.content) == (200, b"")
    assert state(service) == before
    assert int(head.headers["content-length"]) == len(service.ask("GET", f"/ks/{HOST}").content)
    assert service.ask("HEAD", f"/ks/{HOST}", of="10.1.200.7").status_code == 403


def state(service: Service) -> object:
    with service.front_end.database.reading() as c:
        return find_install(c, host=HOST), find_host(c, HOST), list_events(c, HOST)


def test_each_fetch_has_a_token_of_its_own_and_a_repeat_is_no_attempt(service: Service) -> None:
    first, second = service.install(), service.install()
    assert first != second
    with service.front_end.database.reading() as c:
        assert find_install(c, token=first) is None
        assert find_install(c, token=second) is not None
        assert count_attempts(c, HOST) == 1


def test_after_three_attempts_a_host_is_held_and_starts_from_its_disk(service: Service) -> None:
    for _ in range(3):
        token = service.install()
        assert service.report(HOST, token, "pre-start").status_code == 204
    assert "ks/compute-0-0" in boot_files(service)
    answer = service.ask("GET", f"/ks/{HOST}")
    assert (answer.status_code, answer.text) == (403, FORBIDDEN)
    with service.front_end.database.reading() as c:
        host = find_host(c, HOST)
    assert host.boot_action == "os" and "3 times" in host.held
    assert "ks/compute-0-0" not in boot_files(service)
    service.order(HOST)
    assert service.ask("GET", f"/ks/{HOST}").status_code == 200


def test_a_host_whose_boot_files_are_stale_gets_new_ones(service: Service) -> None:
    """The process died after the database knew that it is installed, and the host starts its installer again."""
    service.order(HOST, "os")
    assert "ks/compute-0-0" in boot_files(service)
    assert service.ask("GET", f"/ks/{HOST}", of="10.1.200.7").status_code == 403
    assert service.ask("HEAD", f"/ks/{HOST}").status_code == 403
    assert "ks/compute-0-0" in boot_files(service)
    assert service.ask("GET", f"/ks/{HOST}").status_code == 403
    assert "ks/compute-0-0" not in boot_files(service)


def boot_files(service: Service) -> str:
    """What loaders read for HOST."""
    tree = service.root / "export/install/netboot"
    dashed = f"01-{MACS[HOST].replace(':', '-')}"
    return (tree / "pxelinux.cfg" / dashed).read_text() + (tree / "grub" / f"grub.cfg-{dashed}").read_text()


def test_the_sites_own_attributes_win(service: Service) -> None:
    service.set("global", "", "install_events", "https://reports.example.org/here")
    text = service.ask("GET", f"/ks/{HOST}").text
    assert "rb_url='https://reports.example.org/here'" in text
    # A token is for one install, so that of the site, which stays, is none.
    service.set("host", HOST, "install_token", "mine")
    assert len(service.install()) == 43
    service.set("global", "", "install_events", "")
    assert "rb_url=''" in service.ask("GET", f"/ks/{HOST}").text


def test_a_certificate_authority_is_handed_out(service: Service) -> None:
    text = service.ask("GET", f"/ks/{HOST}").text
    assert "/etc/ca.pem" not in text
    pem = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----"
    path = service.root / "etc/rollbuild/ca/ca.pem"
    path.parent.mkdir(parents=True)
    path.write_text(f"{pem}\n")
    text = service.ask("GET", f"/ks/{HOST}").text
    assert f"cat >/etc/ca.pem <<'CA'\n{pem}\nCA\n" in text
    assert "rb_url='https://10.1.1.1:8443/events/ http://10.1.1.1/events/'" in text


def test_what_cannot_be_compiled_is_told_to_installer_log_and_events(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    service.set("host", HOST, "size", "many")
    answer = service.ask("GET", f"/ks/{HOST}")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == "rollbuild: compute-0-0 cannot be installed:\nattribute size: must be a whole number\n"
    assert "size: must be a whole number" in caplog.text
    service.ask("GET", f"/ks/{HOST}")
    with service.front_end.database.reading() as c:
        events = list_events(c, HOST)
        assert count_attempts(c, HOST) == 0
    assert [(event.stage, event.detail) for event in events] == [("refused", "attribute size: must be a whole number")]
    # The others are not held up by it.
    assert service.ask("GET", f"/ks/{OTHER}", of=ADDRESSES[OTHER]).status_code == 200
    service.set("host", HOST, "size", "7")
    assert service.ask("GET", f"/ks/{HOST}").status_code == 200


def test_a_url_token_is_good_for_one_install(service: Service) -> None:
    with service.front_end.database.recording() as c:
        token = make_url_token(c, HOST, service.clock())
    path = f"/ks/t/{token}"
    assert service.ask("HEAD", path, of="192.0.2.7").status_code == 200
    answer = service.ask("GET", path, of="192.0.2.7")
    assert answer.status_code == 200 and "rb_host='compute-0-0'" in answer.text
    # The answer got lost: the same machine asks again.
    assert service.ask("GET", path, of="192.0.2.7").status_code == 200
    assert service.ask("GET", path, of="192.0.2.8").status_code == 403
    again = service.ask("GET", path, of="192.0.2.7")
    assert service.report(HOST, token_in(again.text), "pre-start").status_code == 204
    used = service.ask("GET", path, of="192.0.2.7")
    assert (used.status_code, used.text) == (403, FORBIDDEN)


def test_other_url_tokens_lead_nowhere(service: Service) -> None:
    for token in ("nobodys", "x" * 1000, "%00", "%0a", "a/b", "%2e%2e%2fhealthz", "%ff", ""):
        assert service.ask("GET", f"/ks/t/{token}").status_code in (403, 404), token


def test_a_url_token_of_a_host_that_is_done_leads_nowhere(service: Service) -> None:
    with service.front_end.database.recording() as c:
        token = make_url_token(c, DONE, service.clock())
    assert service.ask("GET", f"/ks/t/{token}").status_code == 403


def test_no_token_comes_into_a_log(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with service.front_end.database.recording() as c:
        url_token = make_url_token(c, HOST, service.clock())
    token = token_in(service.ask("GET", f"/ks/t/{url_token}").text)
    service.report(HOST, token, "pre-start")
    service.ask("GET", f"/ks/t/{url_token}")
    service.ask("GET", f"/secrets/{HOST}", token=token)
    service.report(OTHER, token, "pre-start")
    ours = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("rollbuild"))
    assert "GET /ks/t/(token)" in ours
    assert token not in ours and url_token not in ours


def test_hostile_names_stay_out_of_the_log_and_the_disk(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("%0aforged", "a%20b", "..%2f..%2fetc", "%ff", "a" * 300, "-x", "x%00", "a..b", "%e2%80%ae"):
        assert service.ask("GET", f"/ks/{name}").status_code in (403, 404), name
        assert service.ask("POST", f"/logs/{name}", token="x", content=b"x").status_code in (403, 404), name
    assert all("\n" not in record.getMessage() for record in caplog.records)
    assert not (service.root / "var/lib/rollbuild/logs").exists()


def test_a_database_that_fails_is_told_to_nobody(service: Service) -> None:
    path = service.front_end.database.path
    assert path is not None
    service.front_end.database.close()
    path.write_bytes(b"no database" * 1000)
    answer = service.ask("GET", f"/ks/{HOST}")
    assert (answer.status_code, answer.text) == (503, "not now: try again\n")
    assert service.ask("GET", "/healthz").status_code == 503
