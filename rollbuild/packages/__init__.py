"""Packages: the metadata of RPM repositories, what they hold, and whether a set of packages resolves."""

from rollbuild.packages.catalogue import Catalogue, Found
from rollbuild.packages.groups import Environment, Group, GroupPackage
from rollbuild.packages.modules import ModuleStream, hidden_packages
from rollbuild.packages.repository import AvailablePackage, Relation, Repository
from rollbuild.packages.resolve import EXCLUDE, INSTALL, PREFER, How, Resolver, Unresolved, Wanted, has_solver
from rollbuild.packages.sources import RepositoryName, open_repositories, parse_repository_name
from rollbuild.packages.versions import compare_evr, compare_versions

__all__ = [
    "EXCLUDE",
    "INSTALL",
    "PREFER",
    "AvailablePackage",
    "Catalogue",
    "Environment",
    "Found",
    "Group",
    "GroupPackage",
    "How",
    "ModuleStream",
    "Relation",
    "Repository",
    "RepositoryName",
    "Resolver",
    "Unresolved",
    "Wanted",
    "compare_evr",
    "compare_versions",
    "has_solver",
    "hidden_packages",
    "open_repositories",
    "parse_repository_name",
]
