"""The pages: what they show, to whom, and what they never show."""

import re
from typing import Any
from urllib.parse import urldefrag, urljoin

import httpx
import pytest
from lxml import html
from starlette.routing import Route

from rollbuild.cluster import Interface as ClusterInterface
from rollbuild.cluster import (
    add_interface,
    find_install,
    hold_host,
    note_discovery,
    record_event,
    set_host,
    set_interface,
    set_network,
)
from rollbuild.frontend.service import make_app
from tests.frontend.service.conftest import ADDRESSES, DONE, HOST, OTHER, Service, start

PAGES = (
    "/cluster/",
    f"/cluster/hosts/{HOST}",
    f"/cluster/hosts/{HOST}/kickstart",
    "/cluster/graph/",
    "/cluster/graph/compute",
    "/cluster/findings",
)
LIVE = PAGES[:2]


def get(
    service: Service, path: str, *, of: str = "127.0.0.1", host: str = "10.1.1.1", **headers: str
) -> httpx.Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return service.ask("GET", path, of=of, headers={"Host": host, **names})


def parse(text: str) -> Any:
    return html.fromstring(text)


def show(service: Service, path: str, **given: str) -> Any:
    """A page as a tree."""
    answer = get(service, path, **given)
    assert answer.status_code == 200, answer.text
    return parse(answer.text)


def words(element: Any) -> str:
    return " ".join(" ".join(element.itertext()).split())


def section(page: Any, name: str) -> str:
    return words(page.get_element_by_id(name))


# Who may look.

ACCESS = {
    "this machine": ("127.0.0.1", "localhost:8441", 200),
    "this machine, by IPv6": ("::1", "[::1]:8441", 200),
    "the cluster's network": ("10.1.200.7", "10.1.1.1", 200),
    "by the front end's name": ("10.1.200.7", "frontend-0-0.cluster.internal", 200),
    "by its short name": ("10.1.200.7", "frontend-0-0", 200),
    "another network": ("203.0.113.9", "10.1.1.1", 403),
    "no address": ("nonsense", "10.1.1.1", 403),
    "IPv6 of elsewhere": ("2001:db8::1", "10.1.1.1", 403),
    "a name of another site that leads here": ("127.0.0.1", "evil.example.com", 403),
    "a name that looks like ours": ("127.0.0.1", "evilcluster.internal", 403),
    "a name that begins like ours": ("127.0.0.1", "cluster.internal.example.com", 403),
    "no name": ("127.0.0.1", "", 403),
}


def test_who_may_look(service: Service) -> None:
    paths = ("/", *PAGES, "/cluster/static/page.js", "/cluster/graph/compute/drawing", "/cluster/hosts/nobody")
    for case, (address, name, status) in ACCESS.items():
        for path in paths if status == 403 else paths[:2]:
            answer = get(service, path, of=address, host=name)
            assert (answer.status_code == 403) == (status == 403), (case, path)
            if status == 403:
                assert answer.text == "not for you, or not now: the log of the front end says why\n"


def test_without_a_network_only_this_machine_may(service: Service) -> None:
    with service.front_end.database.writing("rename") as c:
        set_network(c, "private", name="other")
    assert get(service, "/cluster/", of="10.1.200.7").status_code == 403
    assert get(service, "/cluster/").status_code == 200


def test_nothing_changes_by_asking(service: Service) -> None:
    before = service.front_end.database.path.read_bytes()  # type: ignore[union-attr]
    for path in PAGES:
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            assert service.ask(method, path, of="127.0.0.1").status_code == 405
        get(service, path)
        assert service.ask("HEAD", path, of="127.0.0.1").content == b""
    assert service.front_end.database.path.read_bytes() == before  # type: ignore[union-attr]


def test_headers(service: Service) -> None:
    for path in PAGES:
        answer = get(service, path)
        policy = answer.headers["content-security-policy"]
        assert (
            policy.startswith("default-src 'self';") and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        )
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "private, no-cache"
        # What the policy would block is not there: no script, style or handler in the page itself.
        page = parse(answer.text)
        assert not page.xpath("//style | //*[@style] | //script[not(@src)] | //@*[starts-with(name(), 'on')]")
        assert not [link for link in page.xpath("//@src | //@href") if "//" in link]


def test_the_picture_of_a_graph_runs_its_own_script_only(service: Service) -> None:
    answer = get(service, "/cluster/graph/compute/drawing")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "sandbox allow-scripts" in policy and "frame-ancestors 'self'" in policy
    assert "script-src 'sha256-" in answer.text


def test_every_link_leads_somewhere(service: Service) -> None:
    service.install()
    seen: dict[str, Any] = {}
    queue = ["/cluster/"]
    for path in queue:
        answer = get(service, path)
        # This description has no node of a front end.
        assert answer.status_code == (503 if path == "/cluster/hosts/frontend-0-0/kickstart" else 200), path
        if "text/html" not in answer.headers["content-type"] or path.endswith("/drawing"):
            continue
        page = seen[path] = parse(answer.text)
        names = page.xpath("//@id")
        assert len(names) == len(set(names)), path
        for link in page.xpath("//a/@href | //link/@href | //script/@src | //iframe/@src | //form/@action"):
            place, mark = urldefrag(urljoin(path, link))
            assert not mark or place != path or mark in names, (path, link)
            if place not in queue:
                queue.append(place)
    assert {*PAGES, f"/cluster/hosts/{DONE}", "/cluster/hosts/frontend-0-0"} <= {urldefrag(path)[0] for path in seen}


def test_the_start_leads_to_the_hosts(service: Service) -> None:
    answer = get(service, "/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/cluster/")


NOT_THERE = {
    "a host": ("/cluster/hosts/compute-0-7", 'host "compute-0-7" is not in cluster'),
    "its Kickstart": ("/cluster/hosts/nobody/kickstart", "is not in cluster"),
    "a hostile name": ("/cluster/hosts/%3Cscript%3Ealert(1)%3C", "is not in cluster"),
    "an appliance": ("/cluster/graph/nothing", "nothing"),
    "a file": ("/cluster/static/app.py", ""),
    "a file elsewhere": ("/cluster/static/..%2froutes.py", ""),
    "a page": ("/cluster/nothing", ""),
}


def test_what_is_not_there(service: Service) -> None:
    for case, (path, said) in NOT_THERE.items():
        answer = get(service, path)
        assert answer.status_code == 404, case
        assert said in parse(answer.text).text_content(), case
        assert "<script>" not in answer.text


def test_the_pages_are_no_part_of_the_description(service: Service) -> None:
    ours = [route.path for route in make_app(service.front_end).routes if isinstance(route, Route)]
    assert "/cluster/" in ours
    assert "/cluster" not in get(service, "/openapi.json").text


# What they show.


def test_the_overview(service: Service) -> None:
    page = show(service, "/cluster/")
    assert section(page, "counts") == "4 all \u25cb 2 to install \u2013 2 never installed"
    assert section(page, f"host-{HOST}") == f"{HOST} Compute 10.1.255.254 \u25cb to install -"
    token = service.install()
    service.report(HOST, token, "packages", "kernel-core")
    page = show(service, "/cluster/")
    assert "\u25d0 installing packages: kernel-core" in section(page, f"host-{HOST}")
    assert section(page, "cares") == ""
    service.report(HOST, token, "failed", "no disk\nmore")
    page = show(service, "/cluster/")
    assert f"{HOST} \u2715 failed failed: no disk rocks set host boot {HOST} action=install" in section(page, "cares")


def test_an_install_that_went_silent(service: Service) -> None:
    service.install()
    service.clock.now += 1700
    tag = get(service, "/cluster/").headers["etag"]
    service.clock.now += 200
    answer = get(service, "/cluster/", If_None_Match=tag)
    assert answer.status_code == 200
    assert f"{HOST} \u25b2 silent" in section(parse(answer.text), "cares")


SEARCHES = {
    "?q=compute-0-1": {OTHER},
    "?q=52:54:00:AA:10:02": {DONE},
    "?q=10.1.255.254": {HOST},
    "?q=compute+0-1": {OTHER},
    "?state=waiting": {HOST, OTHER},
    "?state=waiting&q=0-1": {OTHER},
    "?state=failed": set(),
    "?state=%3Cb%3E": {HOST, OTHER, DONE, "frontend-0-0"},
    "?q=" + "x" * 5000: set(),
    "?q=%22%3E%3Cscript%3E": set(),
    "?q=%ff%00": set(),
}


def test_searching(service: Service) -> None:
    for query, names in SEARCHES.items():
        answer = get(service, f"/cluster/{query}")
        found = {name.removeprefix("host-") for name in parse(answer.text).xpath("//tr/@id")}
        assert found == names, query[:30]
        assert "<script>" not in answer.text


def test_machines_that_wait(service: Service) -> None:
    with service.front_end.database.recording() as c:
        note_discovery(c, "52:54:00:00:00:77", vendor="PXE<b>", arch="x86_64", now=service.clock.now)
    assert "52:54:00:00:00:77 PXE<b> x86_64 1 time" in section(show(service, "/cluster/"), "machines")


def test_a_host(service: Service) -> None:
    service.set("host", HOST, "note", "hello")
    token = service.install()
    service.report(HOST, token, "pre-start")
    service.report(HOST, token, "packages", "kernel")
    page = show(service, f"/cluster/hosts/{HOST}")
    assert "eth0 52:54:00:aa:10:00 10.1.255.254 private" in section(page, "facts")
    assert "1 of 3 attempts used" in section(page, "install")
    steps = [words(item) for item in page.xpath("//ol[@class='steps']/li[contains(@class, 'done')]/span")]
    assert steps == ["ks-fetched", "pre-start", "packages"]
    assert page.xpath("string(//li[@aria-current='step']/span)") == "packages"
    assert "note hello the host" in section(page, "attributes")
    assert "root_password hidden a roll's default" in section(page, "attributes")
    assert words(page.xpath("//table[@class='events']/tbody/tr")[0]).endswith("packages kernel")


def test_a_host_that_is_held(service: Service) -> None:
    with service.front_end.database.recording() as c:
        hold_host(c, HOST, "it was given its install 3 times")
    said = section(show(service, f"/cluster/hosts/{HOST}"), "trouble")
    assert "it was given its install 3 times" in said
    assert f"rocks set host boot {HOST} action=install" in said
    assert f"{HOST} \u25a0 held it was given" in section(show(service, "/cluster/"), "cares")


def test_why_each_line_of_a_kickstart_is_there(service: Service) -> None:
    page = show(service, f"/cluster/hosts/{HOST}/kickstart")
    rows = {words(row[1]): words(row[2]) for row in page.xpath("//table[@class='kickstart']/tbody/tr")}
    assert rows["lang en_US.UTF-8"] == "base base/nodes/base.xml:4"
    assert rows["keyboard --vckeymap=us"] == ":5"
    assert rows["hello"].endswith(":16") or "base.xml:" in rows["hello"]
    assert rows[f"# Kickstart of {HOST}, appliance compute, release el9."] == "rollbuild itself"
    assert "compute \u203a base" in section(page, "node-base")
    assert not [place for place in rows.values() if str(service.root.parent) in place or "distributions" in place]


def test_a_kickstart_that_is_refused_says_why(service: Service) -> None:
    service.set("appliance", "compute", "size", "many")
    page = show(service, f"/cluster/hosts/{HOST}/kickstart")
    assert "The host would not get this Kickstart" in words(page)
    assert "size: must be a whole number" in words(page)
    assert "size: must be a whole number" in section(show(service, "/cluster/findings"), "errors")


def test_the_graph(service: Service) -> None:
    page = show(service, "/cluster/graph/")
    assert "compute" in page.xpath("string(//h1)")
    assert section(page, "node-base").endswith("base base compute Every host.")


def test_findings_name_their_place(service: Service) -> None:
    page = show(service, "/cluster/findings")
    text = words(page)
    assert "compute" in text and str(service.root.parent) not in text
    places = page.xpath("//td[@class='place']/text()")
    assert all(not place.startswith("/") for place in places)


def test_without_a_distribution(service: Service) -> None:
    service.set("global", "", "distribution", "gone")
    assert show(service, "/cluster/") is not None
    assert "left out" in section(show(service, f"/cluster/hosts/{HOST}"), "attributes")
    for path in (*PAGES[2:], "/cluster/graph/compute/drawing"):
        answer = get(service, path)
        assert answer.status_code == 503, path
        assert "gone" in answer.text and answer.headers["retry-after"]


def test_an_appliance_without_a_kickstart(service: Service) -> None:
    with service.front_end.database.writing("set") as c:
        set_host(c, HOST, appliance="network")
    assert get(service, f"/cluster/hosts/{HOST}").status_code == 200
    for path in (f"/cluster/hosts/{HOST}/kickstart", "/cluster/graph/network"):
        answer = get(service, path)
        assert answer.status_code == 503 and "no Kickstart" in parse(answer.text).text_content()


# Live.


@pytest.mark.parametrize("path", LIVE)
def test_what_did_not_change_is_not_sent_again(service: Service, path: str) -> None:
    tag = get(service, path).headers["etag"]
    again = get(service, path, If_None_Match=tag)
    assert (again.status_code, again.content) == (304, b"")
    # Another service on the same database, as after a restart, knows the tag too.
    other = start(service.root, service.front_end)
    other.clock.now = service.clock.now
    assert get(other, path, If_None_Match=tag).status_code == 304
    token = service.install()
    fresh = get(service, path, If_None_Match=tag)
    assert fresh.status_code == 200 and "Kickstart given" in fresh.text
    service.report(HOST, token, "packages")
    assert get(service, path, If_None_Match=fresh.headers["etag"]).status_code == 200


def test_tags_are_of_one_address(service: Service) -> None:
    tags = {get(service, path).headers["etag"] for path in (*LIVE, "/cluster/?q=x", f"/cluster/hosts/{OTHER}")}
    assert len(tags) == 4


def test_it_is_live_without_scripts_too(service: Service) -> None:
    for path in PAGES:
        page = show(service, path)
        assert bool(page.xpath("//noscript/meta[@http-equiv='refresh']")) == (path in LIVE)
        assert bool(page.xpath("//main[@data-live]")) == (path in LIVE)


# Hostile data, secrets.

HOSTILE = "</td><script>alert(1)</script><img src=x onerror=alert(2)>\"'{{ 7*7 }}\x1b[31m\u202e&amp;"


def poison(service: Service) -> None:
    """Put hostile text wherever the database takes text."""
    token = service.install()
    service.report(HOST, token, "packages", HOSTILE)
    for scope, key in (("global", ""), ("appliance", "compute"), ("rack", "0"), ("host", HOST)):
        service.set(scope, key, f"hostile_{scope}", HOSTILE.replace("\x1b", ""))
    service.set("host", HOST, "note", "<b>'x")
    with service.front_end.database.recording() as c:
        note_discovery(c, "52:54:00:00:00:77", vendor=HOSTILE, arch=HOSTILE, now=service.clock.now)
        install = find_install(c, host=HOST)
        assert install is not None
        record_event(c, install, "failed", HOSTILE, service.clock.now)
        hold_host(c, OTHER, HOSTILE)
        c.exec_driver_sql("UPDATE hosts SET comment = ?, arch = ?", (HOSTILE, HOSTILE))
        c.exec_driver_sql("UPDATE interfaces SET module = ?, channel = ?, options = ?", (HOSTILE, HOSTILE, HOSTILE))
        c.exec_driver_sql("UPDATE appliances SET membership = membership || ?", (HOSTILE,))


def test_hostile_data_is_text(service: Service) -> None:
    clean = {path: shape(get(service, path).text) for path in PAGES}
    poison(service)
    for path in (*PAGES, f"/cluster/hosts/{OTHER}", "/cluster/?q=%3Cscript%3E", "/cluster/hosts/%3Cscript%3E"):
        text = get(service, path).text
        page = parse(text)
        assert "alert(1)</script>" not in text and "<img" not in text, path
        assert "49" not in words(page).split(), path
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text), path
        assert {str(script) for script in page.xpath("//script/@src")} == clean["/cluster/"]["scripts"], path
        assert not page.xpath('//script[not(@src)] | //img | //b[contains(., "\'x")]'), path
        assert not page.xpath("//@*[starts-with(name(), 'on')]"), path
    said = words(show(service, f"/cluster/hosts/{HOST}"))
    assert "</td><script>alert(1)</script>" in said and "\\x1b[31m\\u202e&amp;" in said
    assert "<b>'x" in words(show(service, f"/cluster/hosts/{HOST}/kickstart"))


def shape(text: str) -> dict[str, set[str]]:
    return {"scripts": {str(script) for script in parse(text).xpath("//script/@src")}}


SECRETS = {
    "root_password": "$6$salt$TheHashOfRoot",
    "install_token": "TokenOfTheSite",
    "db_password": "swordfish-9",
    "munge_secret": "first line of it\nsecond line of it",
    "mirror": "http://user:passInUrl@10.1.1.9/",
}


def test_no_page_shows_a_secret(service: Service) -> None:
    for name, value in SECRETS.items():
        service.set("host" if name == "db_password" else "global", HOST if name == "db_password" else "", name, value)
    service.set("host", HOST, "note", "swordfish-9 again")
    token = service.install()
    with service.front_end.database.recording() as c:
        install = find_install(c, host=HOST)
        assert install is not None
        record_event(c, install, "failed", f"rb_token={token}\nX-RB-Token: {token}\nswordfish-9", service.clock.now)
        hold_host(c, OTHER, f"token {token}")
    for path in (*PAGES, f"/cluster/hosts/{OTHER}", f"/cluster/hosts/{OTHER}/kickstart"):
        text = get(service, path).text
        for secret in ("TheHashOfRoot", "TokenOfTheSite", "swordfish", "line of it", "passInUrl", token):
            assert secret not in text, (path, secret)
    assert "swordfish-9" not in get(service, "/cluster/?q=swordfish").text.replace('value="swordfish', "")


# For everybody.


def test_pages_are_well_made(service: Service) -> None:
    poison(service)
    for path in PAGES:
        page = show(service, path)
        assert page.xpath("//html/@lang") == ["en"]
        assert len(page.xpath("//h1")) == len(page.xpath("//main")) == len(page.xpath("//title")) == 1, path
        levels = [int(heading.tag[1]) for heading in page.xpath("//h1 | //h2 | //h3")]
        assert all(after - before <= 1 for before, after in zip([0, *levels], levels, strict=False)), path
        for table in page.xpath("//table"):
            assert table.xpath("./thead/tr/th[@scope='col']") and not table.xpath("./thead//th[not(@scope)]"), path
            columns = len(table.xpath("./thead/tr/th"))
            assert {len(row) for row in table.xpath("./tbody/tr")} <= {columns}, path
        for field in page.xpath("//input[not(@type='hidden')]"):
            assert page.xpath("//label[@for=$name]", name=field.get("id")), path
        assert all(frame.get("title") for frame in page.xpath("//iframe"))
        assert page.xpath("//a[@class='skip']/@href") == ["#main"]
        # Nothing that the keyboard reaches hides from those who listen.
        assert not page.xpath("//*[@aria-hidden='true']//a[not(@tabindex='-1')]"), path
        for name in page.xpath("//@aria-labelledby"):
            assert page.xpath("//*[@id=$name]", name=name), path


def test_states_say_themselves_without_colours(service: Service) -> None:
    for state in show(service, "/cluster/").xpath("//*[contains(@class, 'state s-')]"):
        assert len(words(state).split(None, 1)[1]) > 3


def test_addresses_that_the_hosts_have(service: Service) -> None:
    with service.front_end.database.writing("add") as c:
        add_interface(c, ClusterInterface(HOST, "eth1", "52:54:00:aa:20:00", "", "", vlan=7))
        set_interface(c, HOST, "eth0", name="named")
    text = section(show(service, f"/cluster/hosts/{HOST}", of=ADDRESSES[OTHER]), "facts")
    assert "named" in text and "VLAN 7" in text


def test_findings_are_of_appliances_that_there_are(service: Service) -> None:
    text = words(show(service, "/cluster/findings"))
    # A host is a frontend, which has no node here; nobody has asked for login, nas and vm-container.
    assert "there is no node frontend" in text
    assert "login" not in text and "UNDEF-ATTR" not in text
