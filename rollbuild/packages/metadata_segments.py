"""Runs of some packages of a repository, whose metadata is kept together and joined once.

Where a segment ends depends on the packages alone: among thousands of segments, a new package changes one.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rollbuild.errors import RollbuildError
from rollbuild.location import Location
from rollbuild.packages.metadata_cache import Known, MetadataCache
from rollbuild.packages.metadata_chunks import Chunks, Identity, Task, scan_files

KINDS = ("primary", "filelists", "other")
_LAST = "0"
"""The fourth hexadecimal digit of a package's SHA-256 that ends a segment: that of one package in 16."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Packages in the order of their paths; `texts` are their pieces of primary.xml, filelists.xml and other.xml."""

    key: str
    nevras: Sequence[str]
    texts: tuple[bytes, bytes, bytes]


@dataclass(slots=True)
class Reading:
    """What reading packages found out: their digests by path, and their segments with the paths by key.

    `files` and `items` are for the cache, which does not have them yet.
    """

    digests: dict[str, str] = field(default_factory=dict)
    segments: list[Segment] = field(default_factory=list)
    files: list[tuple[Identity, Known]] = field(default_factory=list)
    items: dict[str, bytes] = field(default_factory=dict)
    runs: dict[str, list[str]] = field(default_factory=dict)


def read_packages(
    root: Path, files: Mapping[str, Identity], cache: MetadataCache, advance: Callable[[int], object] | None
) -> Reading:
    """The SHA-256 and segments of all files, of which those that the cache knows need not be read.

    Raises RollbuildError, with the file's place, for what is no package, is damaged, or has changed.
    """
    same, likely = cache.find_files(files.values())
    known = {href: same[identity] for href, identity in files.items() if identity in same}
    guesses = {href: likely[identity] for href, identity in files.items() if identity in likely}
    if advance is not None and known:
        advance(sum(files[href][2] for href in known))
    chunks: dict[str, Chunks] = {}
    news: set[str] = set()
    todo = [href for href in files if href not in known]
    while True:
        news.update(todo)
        tasks = [Task(os.path.join(root, href), files[href][2], guesses.get(href, ("", ""))[0]) for href in todo]
        for href, scan in zip(todo, scan_files(tasks, advance), strict=True):
            if scan.identity != files[href]:
                raise refuse_change(os.path.join(root, href))
            known[href] = guesses[href] if scan.chunks is None else (scan.chunks.sha256, "")
            if scan.chunks is not None:
                chunks[scan.chunks.sha256] = scan.chunks
        reading = Reading({href: known[href][0] for href in files})
        todo = _join(reading, known, chunks, cache)
        if not todo:
            break
        guesses, advance = {}, None  # the cache has lost what it knew: those are read, and were told of before
    if news:
        for key, run in reading.runs.items():
            reading.files += [(files[href], (known[href][0], key)) for href in run if href in news]
    return reading


def _join(reading: Reading, known: Mapping[str, Known], chunks: dict[str, Chunks], cache: MetadataCache) -> list[str]:
    """Fill in the segments; returns the paths whose Chunks are nowhere, for which there are none yet."""
    runs = reading.runs = {_write_key(run, reading.digests): run for run in _cut(reading.digests)}
    found = cache.find(runs)
    news = [href for key, run in runs.items() if key not in found for href in run]
    former = {known[href][1] for href in news if known[href][0] not in chunks}
    for data in cache.find(former).values():
        chunks.update((one.sha256, one) for one in _unpack(data))
    lost = [href for href in news if known[href][0] not in chunks]
    if not lost:
        for key, run in runs.items():
            if key not in found:
                found[key] = reading.items[key] = _pack(run, [chunks[known[href][0]] for href in run])
            reading.segments.append(_open(key, found[key]))
    return lost


def _cut(digests: Mapping[str, str]) -> list[list[str]]:
    runs: list[list[str]] = [[]]
    for href, digest in digests.items():
        runs[-1].append(href)
        if digest[3] == _LAST:
            runs.append([])
    return runs if runs[-1] else runs[:-1]


def _write_key(run: Sequence[str], digests: Mapping[str, str]) -> str:
    return hashlib.sha256("\n".join([*run, *[digests[href] for href in run]]).encode()).hexdigest()


def _pack(run: Sequence[str], chunks: Sequence[Chunks]) -> bytes:
    """Two lines of JSON, the second of which says how long all pieces are, and the three texts."""
    sizes = []
    texts: tuple[list[bytes], list[bytes], list[bytes]] = ([], [], [])
    for href, one in zip(run, chunks, strict=True):
        pieces = one.primary(href), one.filelists, one.other
        sizes.append((one.sha256, *map(len, pieces), len(one.before), len(one.after)))
        for text, piece in zip(texts, pieces, strict=True):
            text.append(piece)
    primary, filelists, other = (b"".join(text) for text in texts)
    about = [len(primary), len(filelists), *(one.nevra for one in chunks)], sizes
    return b"\n".join((*(json.dumps(line).encode() for line in about), primary + filelists + other))


def _open(key: str, data: bytes) -> Segment:
    line = data.index(b"\n")
    primary, filelists, *nevras = json.loads(data[:line])
    one = data.index(b"\n", line + 1) + 1
    two = one + primary
    three = two + filelists
    return Segment(key, nevras, (data[one:two], data[two:three], data[three:]))


def _unpack(data: bytes) -> Iterator[Chunks]:
    """What _pack was given."""
    segment = _open("", data)
    texts = segment.texts
    sizes = json.loads(data.split(b"\n", 2)[1])
    one = two = three = 0
    for nevra, (digest, primary, filelists, other, before, after) in zip(segment.nevras, sizes, strict=True):
        end = one + primary
        yield Chunks(
            digest,
            nevra,
            texts[0][one : one + before],
            texts[0][end - after : end],
            texts[1][two : two + filelists],
            texts[2][three : three + other],
        )
        one, two, three = end, two + filelists, three + other


def refuse_change(path: str) -> RollbuildError:
    """The refusal of a package that did not stay as it was."""
    return RollbuildError(
        "this file changed while the metadata was made",
        location=Location(path),
        hint="run this again when nothing else writes there",
    )
