"""`rollbuild serve`: the Kickstart service of the front end."""

from pathlib import Path

import click

from rollbuild.commands._options import Session, common_options, pass_session
from rollbuild.errors import USAGE, RollbuildError

_FILE = click.Path(path_type=Path)


@click.command(name="serve")
@click.option(
    "--listen", default="127.0.0.1:8441", show_default=True, metavar="ADDRESS:PORT", help="Where requests are taken."
)
@click.option("--database", metavar="URL", help="The cluster's database.  [ROLLBUILD_DATABASE, else the front end's]")
@click.option("--store", metavar="DIR", type=_FILE, help="The store.  [ROLLBUILD_STORE, else /export/rollbuild]")
@click.option(
    "--files",
    metavar="DIR",
    type=_FILE,
    help="Serve this folder as /install/ too, where no other web server does: what everyone may read of it.",
)
@click.option("--tls-cert", metavar="FILE", type=_FILE, help="Speak TLS with this certificate (PEM).")
@click.option("--tls-key", metavar="FILE", type=_FILE, help="The key of the certificate (PEM).")
@common_options
@pass_session
def command(
    session: Session,
    /,
    listen: str,
    database: str | None,
    store: Path | None,
    files: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
) -> None:
    """Hand hosts their Kickstarts; take the reports of their installs.

    A host gets its Kickstart at /ks/NAME while its boot action is `install`, from its own address only. When it reports
    that it is installed, its boot action becomes `os`. On a front end nginx stands before this service and speaks TLS;
    without nginx, give --files, --tls-cert and --tls-key. It runs until a signal ends it.
    """
    from rollbuild.frontend import Listening, open_front_end, parse_listen, serve

    if (tls_cert is None) != (tls_key is None):
        raise RollbuildError("--tls-cert and --tls-key go together", exit_code=USAGE)
    if files is not None and not files.is_dir():
        raise RollbuildError(f"{files} is no folder", hint="on a front end it is /export/install", exit_code=USAGE)
    address, port = parse_listen(listen)
    front_end = open_front_end(database, store)
    with front_end.database:
        serve(
            front_end,
            Listening(address, port, tls_cert, tls_key),
            files,
            tell=lambda url: session.console.say(f"serving {url}"),
        )
