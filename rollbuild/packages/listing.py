"""The names in a folder of a web server, read from the page that it makes of the folder."""

import re
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit

from rollbuild.errors import RollbuildError
from rollbuild.packages.download import (
    TRANSFER_PROBLEMS,
    check_url,
    explain_transfer,
    make_opener,
    make_request,
    read_answer,
)

_LIMIT = 64 * 1024 * 1024
_MOST_NAMES = 200_000
_LISTING_HINT = "the server must list its folders (Apache: Options +Indexes; nginx: autoindex on)"
_CHARSET = re.compile(r"charset=([\w.-]+)", re.I)


def list_url(url: str, *, timeout: float = 30.0) -> tuple[str, ...]:
    """What a folder of a web server holds, sorted; names of folders end with a slash.

    Understood are the pages of Apache, nginx, lighttpd and Python's http.server, and others whose links are names.

    Raises RollbuildError: UNREACHABLE when the server does not answer, REFUSED when it lists no folders.
    """
    check_url(url)
    folder = url if url.endswith("/") else url + "/"
    try:
        with make_opener().open(make_request(folder), timeout=timeout) as answer:
            data = read_answer(answer, folder, _LIMIT + 1)
            kind = str(answer.headers.get("Content-Type", ""))
            place = str(answer.geturl())
    except TRANSFER_PROBLEMS as problem:
        status = getattr(problem, "code", 0)
        refusal = explain_transfer(problem, folder)
        if refusal.hint or status >= 500:
            raise refusal from None
        hint = "check the spelling; it should be a folder" if status in (404, 410) else _LISTING_HINT
        raise RollbuildError(refusal.message, hint=hint, exit_code=refusal.exit_code) from None
    if len(data) > _LIMIT:
        raise RollbuildError(f"{folder} is larger than {_LIMIT:,} bytes", hint="name a folder that holds rolls")
    if "html" not in kind.lower():
        raise RollbuildError(f"{folder} is no list of a folder, but {kind or 'something else'}", hint=_LISTING_HINT)
    found = _CHARSET.search(kind)
    return parse_listing(_decode(data, found[1] if found else "utf-8"), place)


def _decode(data: bytes, charset: str) -> str:
    try:
        return data.decode(charset, errors="replace")
    except LookupError:
        return data.decode(errors="replace")


def parse_listing(page: str, url: str) -> tuple[str, ...]:
    """The names that a folder's page links to; `url` is the folder's. Raises RollbuildError for too many."""
    base = url if url.endswith("/") else url.rpartition("/")[0] + "/"
    links = _Links()
    links.feed(page)
    links.close()
    names: dict[str, None] = {}
    for link in links.found:
        name = _name_of(link, base)
        if name:
            names[name] = None
        if len(names) > _MOST_NAMES:
            raise RollbuildError(f"{url} lists more than {_MOST_NAMES:,} names")
    return tuple(sorted(names))


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for key, value in attrs if key == "href" and value]


def _name_of(link: str, base: str) -> str:
    """The name that a link from a folder's page stands for; empty when it leads elsewhere."""
    link = link.strip()
    if not link or "?" in link or "#" in link:
        return ""  # sorting, or a place on the page; names have these quoted
    try:
        place, here = urlsplit(urljoin(base, link)), urlsplit(base)
        if (place.scheme, place.netloc) != (here.scheme, here.netloc) or not place.path.startswith(here.path):
            return ""
    except ValueError:
        return ""
    raw = place.path.removeprefix(here.path)
    name = unquote(raw, errors="surrogateescape")
    plain = name.removesuffix("/")
    # A quoted slash would make a path of what looks like a name.
    if "/" in plain or plain in ("", ".", "..") or any(ord(char) < 32 or ord(char) == 127 for char in plain):
        return ""
    try:
        name.encode()
    except UnicodeEncodeError:
        return ""
    return name
