"""The functions that report an install, against a small server: where reports go, with what; that none stops one."""

import io
import ssl
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from tests.shipped.conftest import Compile, Tree, scripts_of
from tests.shipped.webservers import lead_to, make_certificate, serving

TOKEN = "0123456789abcdef"
BOTH = "https://10.1.1.1:8443/events/ http://10.1.1.1/events/"


@dataclass
class Receiver:
    """A server that keeps what comes; (scheme, path, token, body)."""

    came: list[tuple[str, str, str, bytes]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    ports: dict[str, int] = field(default_factory=dict)

    def stages(self) -> list[tuple[str, str]]:
        """(scheme, stage) of the reports."""
        return [
            (scheme, parse_qs(body.decode())["stage"][0]) for scheme, path, _, body in self.came if path == "/events/"
        ]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, str]:
    """The cluster's authority, the certificate of its front end, and another authority."""
    folder = tmp_path_factory.mktemp("certificates")
    ca, server = make_certificate(folder, "cluster")
    stranger, _ = make_certificate(folder, "stranger")
    return ca.read_text(), server, stranger.read_text()


@pytest.fixture
def receiver(certificates: tuple[str, Path, str]) -> Iterator[Receiver]:
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            scheme = "https" if isinstance(self.connection, ssl.SSLSocket) else "http"
            state.came.append((scheme, self.path, self.headers.get("X-RB-Token", ""), body))
            self.send_response(state.statuses.pop(0) if state.statuses else 204)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with serving(Handler, certificates[1]) as state.ports:
        yield state


Report = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def report(compile_shipped: Compile, host: Tree, receiver: Receiver) -> Report:
    """Run `progress` of %pre, then a line of shell with its functions."""
    lead_to(host, receiver.ports)

    def run(line: str, **attributes: str) -> subprocess.CompletedProcess[str]:
        given = {"install_token": TOKEN, "install_events": BOTH, "hostname": "compute-0-0", **attributes}
        (script,) = scripts_of(compile_shipped("compute", "el9", **given), "pre", "progress")
        done = host.run(script)
        assert done.returncode == 0, done.stderr
        return subprocess.run(
            ["/bin/bash", "-c", f". {host.root}/tmp/rb.sh\n{line}"],
            env={"PATH": f"{host.programs}:/usr/bin:/bin"},
            cwd=host.root,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


def test_reports_go_over_tls_with_the_clusters_authority(
    report: Report, receiver: Receiver, certificates: tuple[str, Path, str], host: Tree
) -> None:
    done = report("rb_event pre-done 'nvme0n1 & more'", cluster_ca=certificates[0].rstrip())
    assert (done.returncode, done.stderr) == (0, "")
    assert receiver.stages() == [("https", "pre-start"), ("https", "pre-done")]
    fields = parse_qs(receiver.came[-1][3].decode())
    assert fields == {"host": ["compute-0-0"], "stage": ["pre-done"], "detail": ["nvme0n1 & more"]}
    assert {token for _, _, token, _ in receiver.came} == {TOKEN}
    assert not any(TOKEN in call for call in host.called())
    # %pre runs under umask 077.
    assert {mode for name, (mode, _) in host.files().items() if name.startswith("tmp/rb")} == {0o600}


def test_reports_find_the_next_place(report: Report, receiver: Receiver, certificates: tuple[str, Path, str]) -> None:
    """The clock of a machine that was never set makes every certificate wrong; a stranger's authority does too."""
    done = report("rb_event pre-done", cluster_ca=certificates[2].rstrip())
    assert done.returncode == 0
    assert receiver.stages() == [("http", "pre-start"), ("http", "pre-done")]


def test_a_report_that_is_lost_stops_nothing(report: Report, receiver: Receiver) -> None:
    receiver.statuses[:] = [403] * 4
    done = report("rb_event post-done; echo goes on", install_events="http://10.1.1.1/events/")
    assert (done.returncode, done.stdout) == (0, "goes on\n")
    assert report("rb_event post-done; echo goes on", install_events="").stdout == "goes on\n"


def test_a_service_that_starts_again_is_asked_again(report: Report, receiver: Receiver) -> None:
    receiver.statuses[:] = [204, 502, 204]
    report("rb_event post-done", install_events="http://10.1.1.1/events/")
    assert receiver.stages() == [("http", "pre-start"), ("http", "post-done"), ("http", "post-done")]


def test_a_web_server_that_starts_again_is_asked_again(report: Report, receiver: Receiver, host: Tree) -> None:
    """It refuses connections meanwhile."""
    host.add_program("sleep", f"rm {host.root}/refuses")
    curl = (host.programs / "curl").read_text().splitlines()
    curl.insert(-1, f"[ ! -e {host.root}/refuses ] || exit 7")
    (host.programs / "curl").write_text("\n".join(curl) + "\n")
    report(f"touch {host.root}/refuses; rb_event post-done", install_events="http://10.1.1.1/events/")
    assert receiver.stages() == [("http", "pre-start"), ("http", "post-done")]
    assert [call for call in host.called() if call.startswith("sleep")] == ["sleep 1"]


def test_a_failure_sends_its_reason_and_the_logs(report: Report, receiver: Receiver, host: Tree) -> None:
    host.write("/tmp/anaconda.log", "it went wrong\n")
    host.write("/tmp/rb.conf.log", "")
    done = report(
        "rb_settings=/dev/null; rb_logs tmp/*.log tmp/nothing; false", install_events="http://10.1.1.1/events/"
    )
    assert done.returncode == 1
    paths = [path for _, path, _, _ in receiver.came]
    assert paths[:3] == ["/events/", "/logs/compute-0-0", "/events/"]
    with tarfile.open(fileobj=io.BytesIO(receiver.came[1][3])) as archive:
        assert archive.getnames() == ["tmp/anaconda.log"]
    fields = parse_qs(receiver.came[2][3].decode())
    assert fields["stage"] == ["failed"] and "false" in fields["detail"][0]


def test_other_receivers_get_no_logs(report: Report, receiver: Receiver, host: Tree) -> None:
    host.write("/tmp/anaconda.log", "it went wrong\n")
    report("rb_logs tmp/*.log", install_events="http://10.1.1.1/reports")
    assert [path for _, path, _, _ in receiver.came] == ["/reports"]
