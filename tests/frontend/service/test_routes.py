"""Every route, asked in every way that nobody should: what is said, and that nothing else is."""

from pathlib import Path

import pytest
from starlette.routing import Route

from rollbuild.frontend.service.app import make_app
from rollbuild.frontend.service.description import describe
from tests.frontend.service.conftest import HOST, Service, start

ROUTES = {
    "GET": [f"/ks/{HOST}", "/ks/t/x", f"/secrets/{HOST}"],
    "POST": ["/events/", f"/logs/{HOST}"],
}
SAID = {
    "not for you, or not now: the log of the front end says why\n",
    "there is nothing here\n",
    "there is nothing here that does this\n",
    "this request is not understood\n",
    "send a form or JSON\n",
}


def test_without_a_token_from_another_network_nothing_is_said(service: Service) -> None:
    service.install()
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"):
        for path in (path for paths in ROUTES.values() for path in paths):
            answer = service.ask(method, path, of="192.0.2.7", tls=True)
            expected = 403 if method in ROUTES and path in ROUTES[method] else 405
            assert answer.status_code == (403 if method == "HEAD" and path in ROUTES["GET"] else expected), path
            assert answer.text in SAID or method == "HEAD"


NOT_THERE = (
    *("/nothing", "/ks", "/ks/..%2f..%2fetc%2fpasswd", "/events", "/secrets", "/logs", "/install/", "/install"),
    *("/install/dist", "//etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/\\..\\..", "/ks%00", "/.git/config"),
)


def test_what_is_not_there(service: Service) -> None:
    for path in NOT_THERE:
        answer = service.ask("GET", path)
        assert answer.status_code in (403, 404), path
        assert answer.text in SAID
        assert "location" not in answer.headers


def test_health(service: Service) -> None:
    answer = service.ask_directly("GET", "/healthz", peer="192.0.2.7")
    assert (answer.status_code, answer.text) == (200, "ok\n")


def test_the_description_names_the_routes_that_there_are(service: Service) -> None:
    answer = service.ask("GET", "/openapi.json")
    assert answer.json() == describe()
    described = {(method.upper(), path) for path, item in describe()["paths"].items() for method in item}
    ours = {
        (method, route.path.replace(":path}", "}"))
        for route in make_app(service.front_end).routes
        if isinstance(route, Route)
        for method in route.methods or ()
        if method != "HEAD"
    }
    assert described <= ours
    assert described >= {
        (method, path) for method, path in ours if path.startswith(("/ks", "/events", "/secr", "/logs"))
    }


@pytest.fixture
def serving(service: Service) -> Service:
    """The service with a folder of files."""
    folder = service.root / "public"
    (folder / "open/deep").mkdir(parents=True)
    (folder / "open/file").write_bytes(bytes(range(256)))
    (folder / "open/deep/.treeinfo").write_text("tree")
    (folder / "open/closed").write_text("secret")
    (folder / "open/closed").chmod(0o640)
    (folder / "kickstarts").mkdir(mode=0o700)
    (folder / "kickstarts/compute.ks").write_text("secret")
    (folder / "link").symlink_to("open/deep")
    (folder / "past").symlink_to("kickstarts/compute.ks")
    (folder / "sideways").symlink_to(folder / "kickstarts")
    (service.root / "outside").mkdir(mode=0o700)
    (service.root / "outside/file").write_text("secret")
    (folder / "out").symlink_to(service.root / "outside/file")
    (folder / "pass").symlink_to("/etc/passwd")
    return start(service.root, service.front_end, folder)


FILES = {
    "a file": ("open/file", 200),
    "a hidden file": ("open/deep/.treeinfo", 200),
    "by a link": ("link/.treeinfo", 200),
    "a file that is not for all": ("open/closed", 404),
    "a folder": ("open", 404),
    "a folder, with a slash": ("open/", 404),
    "the top": ("", 404),
    "a folder that is not for all": ("kickstarts/compute.ks", 404),
    "by a link past such a folder": ("past", 404),
    "by a link to such a folder": ("sideways/compute.ks", 404),
    "by a link out, past such a folder": ("out", 404),
    "upwards": ("open/%2e%2e/kickstarts/compute.ks", 404),
    "upwards and out": ("%2e%2e/outside/file", 404),
    "an encoded slash": ("..%2f..%2fetc%2fpasswd", 404),
    "an absolute path": ("/etc/passwd", 404),
    "a zero": ("open/file%00", 404),
    "a long name": ("x" * 5000, 404),
    "not UTF-8": ("%ff", 404),
}


def test_public_files_only(serving: Service) -> None:
    for case, (path, status) in FILES.items():
        answer = serving.ask("GET", f"/install/{path}", of="192.0.2.7")
        assert answer.status_code == status, case
        assert "secret" not in answer.text


def test_ranges(serving: Service) -> None:
    def ask(given: str) -> tuple[int, bytes]:
        answer = serving.ask("GET", "/install/open/file", headers={"Range": given})
        return answer.status_code, answer.content

    assert ask("bytes=0-3") == (206, bytes(range(4)))
    assert ask("bytes=250-") == (206, bytes(range(250, 256)))
    assert ask("bytes=-2") == (206, bytes((254, 255)))
    assert ask("bytes=900-")[0] == 416
    head = serving.ask("HEAD", "/install/open/file")
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "256", b"")


def test_there_are_no_files_without_a_folder(service: Service, serving: Service, tmp_path: Path) -> None:
    assert service.ask("GET", "/install/open/file").status_code == 404
    assert serving.ask("POST", "/install/open/file").status_code == 405
