"""Distributions: OS trees, and generations made of one and rolls."""

from rollbuild.distribution.comparing import (
    FileChange,
    GenerationDiff,
    PackageChange,
    compare_generations,
    make_masks,
    unified_diff,
)
from rollbuild.distribution.creating import create_generation
from rollbuild.distribution.discinfo import DiscInfo, parse_discinfo, read_discinfo
from rollbuild.distribution.generation import (
    Generation,
    distribution_names,
    find_generation,
    read_generations,
)
from rollbuild.distribution.importing import ImportedOs, import_os
from rollbuild.distribution.keeping import find_before, roll_back
from rollbuild.distribution.ostree import RECORD, OsTree, list_os_trees, os_tree_names, read_os_tree
from rollbuild.distribution.provenance import Provenance, read_provenance
from rollbuild.distribution.request import Compiled, DescriptionToCompile, Made, Wanted
from rollbuild.distribution.rolldata import read_roll_data
from rollbuild.distribution.shadows import summarize_shadows
from rollbuild.distribution.treeinfo import TreeInfo, Variant, parse_treeinfo, read_treeinfo, variant_uids

__all__ = [
    "RECORD",
    "Compiled",
    "DescriptionToCompile",
    "DiscInfo",
    "FileChange",
    "Generation",
    "GenerationDiff",
    "ImportedOs",
    "Made",
    "OsTree",
    "PackageChange",
    "Provenance",
    "TreeInfo",
    "Variant",
    "Wanted",
    "compare_generations",
    "create_generation",
    "distribution_names",
    "find_before",
    "find_generation",
    "import_os",
    "list_os_trees",
    "make_masks",
    "os_tree_names",
    "parse_discinfo",
    "parse_treeinfo",
    "read_discinfo",
    "read_generations",
    "read_os_tree",
    "read_provenance",
    "read_roll_data",
    "read_treeinfo",
    "roll_back",
    "summarize_shadows",
    "unified_diff",
    "variant_uids",
]
