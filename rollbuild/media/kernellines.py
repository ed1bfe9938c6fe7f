"""The kernel lines of boot menus that others wrote, read and changed; everything else in them stays, byte for byte."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rollbuild.errors import RollbuildError

# A quote without its other half is a character like others.
_WORD = re.compile(r"""(?:[^\s"']|"[^"]*"|'[^']*'|["'])+""")
_GRUB = re.compile(r"""^([ \t]*(?:linux(?:16|efi)?|\$kernel)[ \t]+)(\S+)(.*)\Z""")
_APPEND = re.compile(r"^([ \t]*append[ \t]+)(.*)\Z", re.IGNORECASE)
_DIRECTIVE = re.compile(r"^[ \t]*(label|kernel|linux|initrd)[ \t]+(\S+)", re.IGNORECASE)
_SEARCH = re.compile(r"^[ \t]*search[ \t]")
RESCUE = frozenset(("inst.rescue", "rescue"))


@dataclass(frozen=True, slots=True)
class ArgumentEdit:
    """What becomes of the arguments of a kernel line. `remove`: words, or names of which all values go. `add`: words
    at the end. `instead`: words that take the place of those of the same name; those of `install_only` are not
    given to lines that rescue. `label`: (the old volume id, the new one)."""

    remove: tuple[str, ...] = ()
    add: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()
    install_only: frozenset[str] = frozenset()
    label: tuple[str, str] | None = None

    def apply(self, words: Sequence[str]) -> list[str]:
        """The arguments after the change."""
        rescues = any(word in RESCUE for word in words)
        mine = [word for word in self.instead if not (rescues and _name(word) in self.install_only)]
        kept: list[str] = []
        left = {_name(word): word for word in mine}
        for word in words:
            if _name(word) in left or any(_name(word) == _name(other) for other in mine):
                kept += [new] if (new := left.pop(_name(word), "")) else []
            elif not self._removes(word):
                kept.append(word)
        kept += [word for word in (*left.values(), *self.add) if word not in kept]
        return [self.relabel(word) for word in kept]

    def _removes(self, word: str) -> bool:
        return any(word == gone or ("=" not in gone and _name(word) == gone) for gone in self.remove)

    def relabel(self, text: str) -> str:
        """Put the new volume id where the text says LABEL= and the old one, however that is escaped."""
        if self.label is None:
            return text
        old, new = self.label
        spelled = "|".join(re.escape(form) for form in sorted(_spellings(old), key=len, reverse=True))
        return re.sub(rf"(?<=LABEL=)(?:{spelled})(?=[:\s\"']|\Z)", lambda _: new, text)


def edit_isolinux(text: str, edit: ArgumentEdit) -> tuple[str, int]:
    """The menu of isolinux with changed arguments, and how many kernel lines it has."""
    lines = text.split("\n")
    blocks = _isolinux_blocks(lines)
    count = 0
    for number, is_kernel in blocks:
        match = _APPEND.match(lines[number].rstrip("\r"))
        if match is None or not is_kernel:
            continue
        initrd: list[str] = []
        rest: list[str] = []
        for word in _WORD.findall(match[2]):
            (initrd if word.startswith("initrd=") else rest).append(word)
        lines[number] = match[1] + " ".join([*initrd, *edit.apply(rest)]) + _line_end(lines[number])
        count += 1
    return "\n".join(lines), count


def _isolinux_blocks(lines: Sequence[str]) -> list[tuple[int, bool]]:
    """(number of each `append` line, whether it is Linux's: it or its label has an initrd)."""
    found: list[tuple[int, bool]] = []
    appends: list[int] = []
    has_initrd = False

    def close() -> None:
        found.extend((number, has_initrd or "initrd=" in lines[number]) for number in appends)
        appends.clear()

    for number, line in enumerate(lines):
        match = _DIRECTIVE.match(line)
        if match and match[1].lower() == "label":
            close()
            has_initrd = False
        elif match and match[1].lower() == "initrd":
            has_initrd = True
        elif _APPEND.match(line.rstrip("\r")):
            appends.append(number)
    close()
    return found


def edit_grub(text: str, edit: ArgumentEdit) -> tuple[str, int]:
    """The menu of GRUB with changed arguments, and how many kernel lines it has."""
    lines = text.split("\n")
    count = 0
    for number, line in enumerate(lines):
        plain = line.rstrip("\r")
        if match := _GRUB.match(plain):
            given = _WORD.findall(match[3])
            if plain.rstrip().endswith("\\") or any(word.startswith("#") for word in given):
                raise RollbuildError(
                    f"this boot menu is not understood: line {number + 1} goes on in the next, or ends in a comment",
                    hint="put the whole kernel line into one line, without a comment",
                )
            words = edit.apply(given)
            lines[number] = f"{match[1]}{' '.join([match[2], *words])}{_line_end(line)}"
            count += 1
        elif _SEARCH.match(plain) and edit.label is not None:
            lines[number] = _relabel_search(plain, edit.label) + _line_end(line)
    return "\n".join(lines), count


def edit_menu(path: str, text: str, edit: ArgumentEdit) -> tuple[str, int]:
    """The menu at this path of a medium, and how many kernel lines it has."""
    editor: Callable[[str, ArgumentEdit], tuple[str, int]]
    editor = edit_isolinux if path.startswith("isolinux/") else edit_grub
    return editor(text, edit)


def _relabel_search(line: str, label: tuple[str, str]) -> str:
    old, new = label
    plain = {form.strip("'\"") for form in _spellings(old)}
    return _WORD.sub(lambda word: new if word[0].strip("'\"") in plain else word[0], line)


def _spellings(label: str) -> set[str]:
    escaped = label.replace(" ", r"\x20")
    return {label, escaped, escaped.replace("\\", "\\\\"), label.replace(" ", "\\ ")}


def _name(word: str) -> str:
    return word.partition("=")[0].strip("'\"")


def _line_end(line: str) -> str:
    return "\r" if line.endswith("\r") else ""
