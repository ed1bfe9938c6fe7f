"""Packages: the metadata of RPM repositories, what they hold, and whether a set of packages resolves."""

from typing import TYPE_CHECKING

from rollbuild.packages.catalogue import Catalogue, Found
from rollbuild.packages.closure import Chosen, Closure
from rollbuild.packages.contents import check_space, has_content, is_checksum, show_size
from rollbuild.packages.extras import NO_EXTRAS, Extras, check_extras, merge_extras, read_extras
from rollbuild.packages.fetch import Offer, RemoteFile, download_files, fetch_packages
from rollbuild.packages.groups import Environment, Group, GroupPackage
from rollbuild.packages.modules import ModuleStream, hidden_packages
from rollbuild.packages.openpgp import read_key_ids
from rollbuild.packages.parallel import run_parallel
from rollbuild.packages.payload import unpack_rpm
from rollbuild.packages.repomd import read_repomd
from rollbuild.packages.repository import AvailablePackage, Relation, Repository
from rollbuild.packages.resolve import EXCLUDE, INSTALL, PREFER, How, Resolver, Unresolved, Wanted, has_solver
from rollbuild.packages.rpmbuild import build_files_rpm, build_spec, find_mock_config
from rollbuild.packages.rpmfile import RpmFile, read_rpm, verify_rpm
from rollbuild.packages.signatures import Keyring, Signature, export_key, open_keyring, sign_file, sign_packages
from rollbuild.packages.sources import RepositoryName, open_repositories, parse_repository_name
from rollbuild.packages.verify import check_repository
from rollbuild.packages.versions import compare_evr, compare_versions

if TYPE_CHECKING:
    from rollbuild.packages.download import ask_size, check_url, read_url
    from rollbuild.packages.listing import list_url
    from rollbuild.packages.metadata import MadeRepository, make_repository
    from rollbuild.packages.transfer import download_file
else:
    # What talks to servers, or keeps a database, takes longer to import than most commands take to run without it.
    _LATER = {
        **dict.fromkeys(("ask_size", "check_url", "read_url"), "download"),
        "list_url": "listing",
        **dict.fromkeys(("MadeRepository", "make_repository"), "metadata"),
        "download_file": "transfer",
    }

    def __getattr__(name):
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)


__all__ = [
    "EXCLUDE",
    "INSTALL",
    "NO_EXTRAS",
    "PREFER",
    "AvailablePackage",
    "Catalogue",
    "Chosen",
    "Closure",
    "Environment",
    "Extras",
    "Found",
    "Group",
    "GroupPackage",
    "How",
    "Keyring",
    "MadeRepository",
    "ModuleStream",
    "Offer",
    "Relation",
    "RemoteFile",
    "Repository",
    "RepositoryName",
    "Resolver",
    "RpmFile",
    "Signature",
    "Unresolved",
    "Wanted",
    "ask_size",
    "build_files_rpm",
    "build_spec",
    "check_extras",
    "check_repository",
    "check_space",
    "check_url",
    "compare_evr",
    "compare_versions",
    "download_file",
    "download_files",
    "export_key",
    "fetch_packages",
    "find_mock_config",
    "has_content",
    "has_solver",
    "hidden_packages",
    "is_checksum",
    "list_url",
    "make_repository",
    "merge_extras",
    "open_keyring",
    "open_repositories",
    "parse_repository_name",
    "read_extras",
    "read_key_ids",
    "read_repomd",
    "read_rpm",
    "read_url",
    "run_parallel",
    "show_size",
    "sign_file",
    "sign_packages",
    "unpack_rpm",
    "verify_rpm",
]
