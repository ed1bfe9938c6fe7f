"""The compiler: a description and attribute values become Kickstarts, with the origin of every line. No I/O."""

from rollbuild.compiler.compile import Compiler, Target, check_references, run_no_eval
from rollbuild.compiler.context import ClusterData, Evaluate, printed_attribute
from rollbuild.compiler.order import order_nodes, rank_names
from rollbuild.compiler.plan import Plan
from rollbuild.compiler.profile import KickstartCommand, Line, Profile, ScriptSection, Section, WrittenFile
from rollbuild.compiler.rollscript import write_script
from rollbuild.compiler.script import RESERVED, is_reserved
from rollbuild.compiler.select import Selection, children_of, select_nodes

__all__ = [
    "RESERVED",
    "ClusterData",
    "Compiler",
    "Evaluate",
    "KickstartCommand",
    "Line",
    "Plan",
    "Profile",
    "ScriptSection",
    "Section",
    "Selection",
    "Target",
    "WrittenFile",
    "check_references",
    "children_of",
    "is_reserved",
    "order_nodes",
    "printed_attribute",
    "rank_names",
    "run_no_eval",
    "select_nodes",
    "write_script",
]
