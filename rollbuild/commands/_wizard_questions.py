"""What `rollbuild init` asks: one question for each attribute that the rolls declare, in groups."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rollbuild.commands._wizard_computed import COMPUTED
from rollbuild.language import Declaration, Roll

# Which attributes are asked first, and in what order. All others are asked by roll, where somebody wants to see them.
_GROUPS: Mapping[str, tuple[str, ...]] = {
    "Names": (
        "Info_ClusterName",
        "Kickstart_PublicHostname",
        "Kickstart_PrivateHostname",
        "Kickstart_PrivateDNSDomain",
    ),
    "The cluster's own network": (
        "Kickstart_PrivateInterface",
        "Kickstart_PrivateAddress",
        "Kickstart_PrivateNetmask",
        "Kickstart_PrivateGateway",
        "Kickstart_PrivateDNSServers",
    ),
    "The network to the world": (
        "Kickstart_PublicInterface",
        "Kickstart_PublicAddress",
        "Kickstart_PublicNetmask",
        "Kickstart_PublicGateway",
        "Kickstart_PublicDNSServers",
        "nat",
    ),
    "Time, language and keyboard": (
        "Kickstart_Timezone",
        "Kickstart_PublicNTPHost",
        "Kickstart_Lang",
        "Kickstart_Keyboard",
    ),
    "Who may log in as root": ("Kickstart_PrivateRootPassword", "ssh_root_keys"),
    "Disks": ("os_disk", "disk_layout", "data_disks"),
    "Services": ("dhcp_server", "database", "scheduler", "monitoring", "vm_hypervisor"),
}

_LINES = re.compile(r"\bone\b[^.]* a line|[Ff]urther lines|\bPEM\b")

# The front end sets these itself, for one host or for one install.
_NEVER_ASKED = frozenset({"ksmac", "hostaddr", "install_token"})

_ONLY_WITH_PUBLIC_ADDRESS = frozenset({"Kickstart_PublicNetmask", "Kickstart_PublicGateway"})


@dataclass(frozen=True, slots=True)
class Question:
    """One attribute to ask for; `first` is set for those that everybody is asked."""

    group: str
    declaration: Declaration
    roll: str
    first: bool

    @property
    def name(self) -> str:
        return self.declaration.name

    @property
    def is_password(self) -> bool:
        """Whether the answer is a password, of which only the hash is kept."""
        known = self.name.lower() + self.declaration.description.lower()
        return self.declaration.type == "secret" and "password" in known

    @property
    def has_lines(self) -> bool:
        """Whether the value is a list with one item a line."""
        return _LINES.search(self.declaration.description) is not None

    @property
    def needed(self) -> bool:
        return self.declaration.required


def make_questions(rolls: Sequence[Roll]) -> tuple[Question, ...]:
    """One question for each declared attribute: those of the groups first, then the others by roll.

    The declaration of a later roll wins. Secrets that are no passwords are not asked: they would lie on the
    disk as they were typed. Raises RollbuildError for a declaration that cannot be read.
    """
    declared = {known.name: (known, roll.name) for roll in rolls for known in roll.declarations()}
    questions = []
    for group, names in _GROUPS.items():
        for name in names:
            if name in declared:
                declaration, roll = declared[name]
                questions.append(Question(group, declaration, roll, True))
    asked = {question.name for question in questions} | _NEVER_ASKED
    for name, (declaration, roll) in declared.items():
        question = Question(f"Roll {roll}", declaration, roll, declaration.required)
        if name not in asked and (declaration.type != "secret" or question.is_password):
            questions.append(question)
    # What must be answered comes before what may be left.
    return tuple(sorted(questions, key=lambda question: not question.first))


@dataclass(slots=True)
class Answers:
    """What was answered, and what follows from it: the value of every question at any time."""

    questions: tuple[Question, ...]
    given: dict[str, str] = field(default_factory=dict)

    def value(self, name: str) -> str:
        """The answer; without one what is computed of the others, else what the roll declares; empty without any."""
        if name in self.given:
            return self.given[name]
        return self.proposal(name)

    def proposal(self, name: str) -> str:
        """What the value is when nobody says otherwise."""
        compute: Callable[[Callable[[str], str]], str | None] | None = COMPUTED.get(name)
        if compute is not None and (computed := compute(self.value)) is not None:
            return computed
        return self.default(name)

    def default(self, name: str) -> str:
        """What the roll declares; empty where it declares nothing."""
        question = self.find(name)
        return (question.declaration.default or "") if question else ""

    def find(self, name: str) -> Question | None:
        return next((question for question in self.questions if question.name == name), None)

    def is_open(self, question: Question) -> bool:
        """Whether the other answers leave something to ask here."""
        if question.name in _ONLY_WITH_PUBLIC_ADDRESS:
            return bool(self.value("Kickstart_PublicAddress"))
        return True

    def differing(self) -> list[tuple[Question, str]]:
        """The questions whose value is not what the rolls declare, in the order of the questions."""
        found = [(question, self.value(question.name)) for question in self.questions if self.is_open(question)]
        return [(question, value) for question, value in found if value != self.default(question.name)]
