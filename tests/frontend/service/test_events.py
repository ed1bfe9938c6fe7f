"""POST /events/: reports of installs, and what follows from them."""

import json
from typing import Any

from rollbuild.cluster import configuration_generation, find_host, find_install, install_states, list_events
from tests.frontend.service.conftest import ADDRESSES, HOST, OTHER, Service
from tests.frontend.service.test_giving import boot_files

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}


def test_an_installed_host_starts_from_its_disk_before_it_is_answered(service: Service) -> None:
    token = service.install()
    for stage in ("pre-start", "preinstall", "post-start"):
        assert service.report(HOST, token, stage).status_code == 204
        assert "inst.ks=" in boot_files(service)
    answer = service.report(HOST, token, "post-done")
    assert (answer.status_code, answer.content) == (204, b"")
    assert "inst.ks=" not in boot_files(service)
    with service.front_end.database.reading() as c:
        assert find_host(c, HOST).boot_action == "os"
        assert install_states(c)[HOST].state == "installed"
        assert find_host(c, OTHER).boot_action == "install"
        stages = [event.stage for event in list_events(c, HOST)]
    assert stages == ["ks-fetched", "pre-start", "preinstall", "post-start", "post-done"]
    assert service.ask("GET", f"/ks/{HOST}").status_code == 403


def test_a_repeated_report_mends_the_boot_files(service: Service) -> None:
    """The process died after the database knew, before the files did; the host reports again."""
    token = service.install()
    before = boot_files(service)
    service.report(HOST, token, "post-done")
    tree = service.root / "export/install/netboot"
    for path in tree.rglob("*01-52-54-00-aa-10-00"):
        path.write_text(before)
    with service.front_end.database.reading() as c:
        generation = configuration_generation(c)
    assert service.report(HOST, token, "post-done").status_code == 204
    assert "inst.ks=" not in boot_files(service)
    with service.front_end.database.reading() as c:
        assert configuration_generation(c) == generation


def test_the_first_boot_says_it_too(service: Service) -> None:
    token = service.install()
    assert service.report(HOST, token, "first-boot").status_code == 204
    assert "inst.ks=" not in boot_files(service)


def test_a_late_report_does_not_end_a_new_install(service: Service) -> None:
    first = service.install()
    service.report(HOST, first, "post-done")
    service.order(HOST)
    assert service.report(HOST, first, "first-boot").status_code == 204
    with service.front_end.database.reading() as c:
        assert find_host(c, HOST).boot_action == "install"
    second = service.install()
    assert service.report(HOST, first, "post-done").status_code == 204
    with service.front_end.database.reading() as c:
        assert find_host(c, HOST).boot_action == "install"
    service.report(HOST, second, "post-done")
    with service.front_end.database.reading() as c:
        assert find_host(c, HOST).boot_action == "os"


def test_three_failures_hold_a_host(service: Service) -> None:
    for attempt in range(3):
        token = service.install()
        service.report(HOST, token, "pre-start")
        with service.front_end.database.reading() as c:
            assert not find_host(c, HOST).held
        # A report whose answer got lost comes twice.
        for _ in range(2):
            assert service.report(HOST, token, "failed", f"no disk\n(attempt {attempt})").status_code == 204
    with service.front_end.database.reading() as c:
        host = find_host(c, HOST)
    assert host.held == "3 installs failed; the last: no disk (attempt 2)"
    assert host.boot_action == "os"
    assert "inst.ks=" not in boot_files(service)
    assert service.ask("GET", f"/ks/{HOST}").status_code == 403


def test_a_failure_that_comes_right_is_forgotten(service: Service) -> None:
    for stages in (("failed",), ("failed",), ("post-done",)):
        token = service.install()
        for stage in stages:
            service.report(HOST, token, stage)
    service.order(HOST)
    token = service.install()
    service.report(HOST, token, "failed")
    with service.front_end.database.reading() as c:
        assert not find_host(c, HOST).held


WRONG: dict[str, tuple[str, dict[str, str], Any, int]] = {
    "no token": ("", FORM, "host=compute-0-0&stage=pre-start", 403),
    "a token of nobody": ("nobodys", FORM, "host=compute-0-0&stage=pre-start", 403),
    "a token of another host": ("(token)", FORM, "host=compute-0-1&stage=pre-start", 403),
    "no host": ("(token)", FORM, "stage=pre-start", 403),
    "no stage": ("(token)", FORM, "host=compute-0-0", 400),
    "no such name of a stage": ("(token)", FORM, "host=compute-0-0&stage=Pre Start", 400),
    "a stage with a line end": ("(token)", FORM, "host=compute-0-0&stage=x%0a", 400),
    "a stage of the service itself": ("(token)", FORM, "host=compute-0-0&stage=ks-fetched", 400),
    "two hosts": ("(token)", FORM, "host=compute-0-0&host=compute-0-1&stage=x", 400),
    "many fields": ("(token)", FORM, "&".join(f"a{number}=1" for number in range(1000)), 400),
    "no form": ("(token)", FORM, "no form", 400),
    "not ASCII": ("(token)", FORM, b"host=\xff", 400),
    "not UTF-8 within": ("(token)", FORM, "host=compute-0-0&stage=x&detail=%ff", 400),
    "nothing": ("(token)", FORM, "", 403),
    "no JSON": ("(token)", JSON, "{", 400),
    "a list": ("(token)", JSON, "[]", 400),
    "numbers": ("(token)", JSON, '{"host": 1, "stage": "x"}', 400),
    "deep JSON": ("(token)", JSON, "[" * 100_000, 400),
    "half a surrogate pair": ("(token)", JSON, '{"host": "compute-0-0", "stage": "x", "detail": "\\ud800"}', 400),
    "another type": ("(token)", {"Content-Type": "multipart/form-data; boundary=x"}, "--x--", 415),
    "no type": ("(token)", {}, b"host=compute-0-0&stage=x", 415),
    "too large": ("(token)", FORM, b"x" * (1024 * 1024 + 1), 413),
}


def test_what_is_not_taken(service: Service) -> None:
    own = service.install()
    before = events(service)
    for case, (token, headers, body, status) in WRONG.items():
        sent = own if token == "(token)" else token
        answer = service.ask("POST", "/events/", headers=headers, token=sent, content=body)
        assert answer.status_code == status, case
        assert own not in answer.text and HOST not in answer.text
        assert events(service) == before, case


def events(service: Service) -> object:
    with service.front_end.database.reading() as c:
        return list_events(c, HOST), list_events(c, OTHER)


def test_json_is_taken_as_well(service: Service) -> None:
    token = service.install()
    body = json.dumps({"host": HOST, "stage": "pre-done", "detail": "nvme0n1 é\u0000\n<script>"})
    assert service.ask("POST", "/events/", headers=JSON, token=token, content=body).status_code == 204
    with service.front_end.database.reading() as c:
        assert list_events(c, HOST)[-1].detail == "nvme0n1 é\n<script>"


def test_a_body_in_pieces_is_cut_off_at_the_limit(service: Service) -> None:
    token = service.install()
    sent = 0

    async def pieces() -> Any:
        nonlocal sent
        while sent < 64 * 1024 * 1024:
            sent += 65536
            yield b"x" * 65536

    answer = service.ask("POST", "/events/", headers=FORM, token=token, content=pieces())
    assert answer.status_code == 413
    assert sent < 2 * 1024 * 1024


def test_a_report_comes_from_any_address(service: Service) -> None:
    """The token says who it is: the address may be another one between installer and installed system."""
    token = service.install()
    fields = {"host": HOST, "stage": "post-start"}
    assert service.ask("POST", "/events/", of="10.1.77.7", token=token, data=fields).status_code == 204


def test_another_order_while_it_installs_is_kept(service: Service) -> None:
    token = service.install()
    service.order(HOST, "rescue")
    assert service.report(HOST, token, "post-done").status_code == 204
    with service.front_end.database.reading() as c:
        assert find_host(c, HOST).boot_action == "rescue"
        install = find_install(c, host=HOST)
    assert install is not None and install.state == "installed"
    assert ADDRESSES[HOST] == install.address
