"""Which packages the repositories of an OS tree hold, remembered in the store's cache: their metadata is large."""

import json
import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from rollbuild.distribution.ostree import FileDigest, OsTree
from rollbuild.distribution.shadows import OS_PRIORITY, Offer, OfferedPackage
from rollbuild.errors import RollbuildError
from rollbuild.files import read_limited, write_atomically
from rollbuild.packages import ModuleStream, RepositoryName, open_repositories
from rollbuild.rolls import Store

_FORMAT = 1
_LIMIT = 512 * 1024 * 1024
_Found = tuple[str, str, str, str, str]
"""Epoch, version, release, architecture, and the file from the top of the tree."""


@dataclass(frozen=True, slots=True)
class Content:
    """The packages of a repository by name, and its module streams."""

    repository: str
    packages: Mapping[str, list[_Found]] = field(repr=False)
    streams: tuple[ModuleStream, ...] = field(repr=False)

    @property
    def count(self) -> int:
        """How many packages it has."""
        return sum(map(len, self.packages.values()))

    def offer(self, names: Collection[str], files: Mapping[str, FileDigest]) -> Offer:
        """The packages of these names; `files` has their digests."""
        packages = [
            OfferedPackage(self.repository, name, *found, files.get(found[4], ("", 0))[0])
            for name in sorted(names & self.packages.keys())
            for found in self.packages[name]
        ]
        return Offer(self.repository, OS_PRIORITY, True, packages, self.streams)


def read_contents(store: Store, tree: OsTree) -> tuple[Content, ...]:
    """What each variant of an OS tree holds, from its metadata or from what is remembered of it.

    Raises RollbuildError for metadata that cannot be read.
    """
    memory = store.cache_folder / f"os-packages-{tree.digest}.json"
    with suppress(RollbuildError, ValueError, KeyError, TypeError, RecursionError):
        return _from_json(json.loads(read_limited(memory, _LIMIT)), tree)
    contents = _read(tree)
    text = json.dumps(_to_json(contents), ensure_ascii=False)
    with suppress(RollbuildError, OSError):  # the next one reads the metadata again
        store.cache_folder.mkdir(exist_ok=True)
        write_atomically(memory, text.encode())
    return contents


def _read(tree: OsTree) -> tuple[Content, ...]:
    places = [os.path.normpath(tree.folder / variant.repository) for variant in tree.variants]
    names = [RepositoryName(place, variant.uid) for place, variant in zip(places, tree.variants, strict=True)]
    contents = []
    with open_repositories(names) as repositories:
        for variant, repository in zip(tree.variants, repositories, strict=True):
            packages = {
                name: [
                    (
                        item.epoch or "0",
                        item.version,
                        item.release,
                        item.arch,
                        os.path.normpath(os.path.join(variant.repository, item.href)),
                    )
                    for item in same
                ]
                for name, same in repository.packages.items()
            }
            contents.append(Content(variant.uid, packages, repository.streams))
    return tuple(contents)


def _to_json(contents: tuple[Content, ...]) -> dict[str, object]:
    return {
        "format": _FORMAT,
        "repositories": [
            {
                "name": content.repository,
                "packages": content.packages,
                "streams": [
                    [stream.module, stream.stream, sorted(stream.artifacts), stream.is_default]
                    for stream in content.streams
                ],
            }
            for content in contents
        ],
    }


def _from_json(content: Any, tree: OsTree) -> tuple[Content, ...]:
    if content["format"] != _FORMAT or [item["name"] for item in content["repositories"]] != [
        variant.uid for variant in tree.variants
    ]:
        raise ValueError("of another rollbuild")
    return tuple(
        Content(
            item["name"],
            item["packages"],
            tuple(
                ModuleStream(module, stream, frozenset(artifacts), is_default)
                for module, stream, artifacts, is_default in item["streams"]
            ),
        )
        for item in content["repositories"]
    )
