"""The language of rolls: graph files, node files, attributes and conditions, read into frozen values."""

from rollbuild.language.attributes import (
    Attribute,
    AttributeSet,
    check_name,
    complete,
    is_entity_name,
    parse_assignment,
    read_attributes,
    shell_risk,
)
from rollbuild.language.conditions import ALWAYS, Condition, ConditionError, Guard, compile_condition, condition_of
from rollbuild.language.declarations import Declaration, collect_defaults, read_defaults
from rollbuild.language.description import Description, read_description
from rollbuild.language.elements import (
    Command,
    Copy,
    Eval,
    File,
    Item,
    Node,
    NodeFile,
    Package,
    Part,
    Script,
    Template,
)
from rollbuild.language.graph import HEAD, TAIL, Appliance, Edge, Graph, Order, read_graph
from rollbuild.language.hiding import HIDDEN, is_hidden, is_secret_name
from rollbuild.language.names import did_you_mean, is_node_name
from rollbuild.language.nodes import read_fragment, read_node
from rollbuild.language.plain_yaml import Mapping as YamlMapping
from rollbuild.language.plain_yaml import Node as YamlNode
from rollbuild.language.plain_yaml import Scalar as YamlScalar
from rollbuild.language.plain_yaml import Sequence as YamlSequence
from rollbuild.language.plain_yaml import read_yaml
from rollbuild.language.roll import DEFAULT_PRIORITY, Roll, find_rolls
from rollbuild.language.source import parse_document, read_document
from rollbuild.language.xmltree import Document, Element, Piece, Text

__all__ = [
    "ALWAYS",
    "DEFAULT_PRIORITY",
    "HEAD",
    "HIDDEN",
    "TAIL",
    "Appliance",
    "Attribute",
    "AttributeSet",
    "Command",
    "Condition",
    "ConditionError",
    "Copy",
    "Declaration",
    "Description",
    "Document",
    "Edge",
    "Element",
    "Eval",
    "File",
    "Graph",
    "Guard",
    "Item",
    "Node",
    "NodeFile",
    "Order",
    "Package",
    "Part",
    "Piece",
    "Roll",
    "Script",
    "Template",
    "Text",
    "YamlMapping",
    "YamlNode",
    "YamlScalar",
    "YamlSequence",
    "check_name",
    "collect_defaults",
    "compile_condition",
    "complete",
    "condition_of",
    "did_you_mean",
    "find_rolls",
    "is_entity_name",
    "is_hidden",
    "is_node_name",
    "is_secret_name",
    "parse_assignment",
    "parse_document",
    "read_attributes",
    "read_defaults",
    "read_description",
    "read_document",
    "read_fragment",
    "read_graph",
    "read_node",
    "read_yaml",
    "shell_risk",
]
