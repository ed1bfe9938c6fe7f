"""Where hosts find the Kickstart service, and what they are told of it."""

from collections.abc import Mapping

from rollbuild.files import read_limited, system_path
from rollbuild.frontend.authority import uses_tls

CA_FILE = "/etc/rollbuild/ca/ca.pem"
TLS_PORT = 8443
_CA_LIMIT = 64 * 1024


def kickstart_url(attributes: Mapping[str, str], host: str, *, server: str = "") -> str:
    """Where the installer finds a host's Kickstart; `attributes` are those that hold for the host.

    `host` may be `t/TOKEN`, of a URL; `server` is the front end's address, where it is known better.
    """
    server = server or attributes.get("Kickstart_PrivateKickstartHost", "")
    return f"https://{server}:{TLS_PORT}/ks/{host}" if uses_tls(attributes) else f"http://{server}/ks/{host}"


def service_attributes(attributes: Mapping[str, str]) -> dict[str, str]:
    """What the service adds to the site's attributes: where to report to, and whom to trust there."""
    server = attributes.get("Kickstart_PrivateKickstartHost", "")
    found = {"install_events": f"http://{server}/events/"} if server else {}
    path = system_path(CA_FILE)
    if path.is_file():
        found["cluster_ca"] = read_limited(path, _CA_LIMIT).decode("ascii", "replace").rstrip("\n")
        if server:
            # The clock of a machine may be wrong before it is installed; its certificate is then none.
            found["install_events"] = f"https://{server}:{TLS_PORT}/events/ http://{server}/events/"
    return found
