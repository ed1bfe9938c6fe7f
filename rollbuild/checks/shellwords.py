"""The commands that a shell script runs, found without running it.

Not a shell grammar: quotes, comments, here-documents, `$(...)` and keywords are told apart well enough to know which
words stand where a program's name stands.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache

_KEYWORDS = frozenset(
    ["if", "then", "elif", "else", "fi", "while", "until", "do", "done", "!", "{", "}", "time", "coproc"]
)
_OPENERS = frozenset(("for", "select", "case", "function"))
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*(?:\[[^]]*\])?\+?=")
_HERE = re.compile(r"<<(-?)[ \t]*(?:'([^'\n]*)'|\"([^\"\n]*)\"|\\?([^\s;&|<>()'\"\\]+))")
_REDIRECTION = re.compile(r"\d*(?:>>|>\||>&|<&|<>|&>>|&>|>|<(?!<))")
_PLAIN = re.compile(r"[^\s;&|<>()\\'\"`$]+")
_QUOTED = re.compile(r"[^\\\"`$]+")
_DEPTH = 20


@dataclass(frozen=True, slots=True)
class Command:
    """A simple command: its words without quotes, and the line (from 0) it starts on."""

    words: tuple[str, ...]
    line: int


@dataclass(slots=True)
class _Scan:
    text: str
    line: int
    depth: int
    at: int = 0
    found: list[Command] = field(default_factory=list)
    functions: set[str] = field(default_factory=set)
    words: list[str] = field(default_factory=list)
    started: int = 0
    pending: list[tuple[str, bool]] = field(default_factory=list)
    contexts: list[str] = field(default_factory=list)
    in_pattern: bool = False

    def run(self) -> None:
        text = self.text
        while self.at < len(text):
            character = text[self.at]
            if character == "\n":
                self.close()
                self.at += 1
                self.line += 1
                self.skip_here_documents()
            elif character in " \t":
                self.at += 1
            elif text.startswith("\\\n", self.at):
                self.at += 2
                self.line += 1
            elif character == "#":
                end = text.find("\n", self.at)
                self.at = len(text) if end < 0 else end
            elif character in ";&|":
                if text.startswith("&>", self.at):
                    self.redirection()
                else:
                    self.close()
                    # ;; ;& and ;;& end a branch of a case: a pattern follows
                    in_case = bool(self.contexts) and self.contexts[-1] == "case"
                    self.in_pattern = self.in_pattern or (in_case and text.startswith((";;", ";&"), self.at))
                    self.at += 1
            elif character == "(":
                self.open_parenthesis()
            elif character == ")":
                self.close_parenthesis()
            elif _HERE.match(text, self.at) and not text.startswith("<<<", self.at):
                found = _HERE.match(text, self.at)
                assert found is not None  # noqa: S101 - for the type checker
                name = next(part for part in found.groups()[1:] if part is not None)
                self.pending.append((name, found[1] == "-"))
                self.at = found.end()
            elif text.startswith("<<<", self.at):
                self.at += 3
                self.skip_blanks()
                self.word()
            elif _REDIRECTION.match(text, self.at):
                self.redirection()
            else:
                self.add(self.word())
        self.close()

    def redirection(self) -> None:
        found = _REDIRECTION.match(self.text, self.at) or re.compile("&>>?").match(self.text, self.at)
        self.at = found.end() if found else self.at + 1
        if self.text.startswith("(", self.at):
            return  # process substitution: its commands are read like a subshell's
        self.skip_blanks()
        self.word()

    def skip_blanks(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in " \t":
            self.at += 1

    def open_parenthesis(self) -> None:
        rest = self.text[self.at + 1 :].lstrip(" \t")
        if len(self.words) == 1 and rest.startswith(")"):
            self.functions.add(self.words.pop())
            self.at = self.text.index(")", self.at) + 1
            return
        if not self.words and self.text.startswith("((", self.at):
            end = self.text.find("))", self.at)
            end = len(self.text) if end < 0 else end + 2
            self.line += self.text.count("\n", self.at, end)
            self.at = end
            return
        if self.in_pattern:
            self.at += 1
            return
        self.close()
        self.contexts.append("(")
        self.at += 1

    def close_parenthesis(self) -> None:
        if self.in_pattern:
            self.words.clear()
            self.in_pattern = False
        else:
            self.close()
            if self.contexts:
                self.contexts.pop()
        self.at += 1

    def add(self, word: str) -> None:
        if not self.words:
            if word == "esac":
                if "case" in self.contexts:
                    while self.contexts.pop() != "case":
                        pass
                self.in_pattern = False
                return
            if self.in_pattern:
                self.words.append(word)
                return
            if word == "[[":
                self.skip_past("]]")
                return
            if word in _KEYWORDS:
                return
            if ASSIGNMENT.match(word):
                if word.endswith("=") and self.text.startswith("(", self.at):
                    self.skip_past(")", _matching(self.text, self.at))
                return
            self.started = self.line
        elif self.words[0] == "case" and word == "in":
            self.words.clear()
            self.contexts.append("case")
            self.in_pattern = True
            return
        elif self.words[0] == "function" and len(self.words) == 1:
            self.functions.add(word)
            self.words.clear()
            return
        self.words.append(word)

    def skip_past(self, mark: str, start: int | None = None) -> None:
        found = self.text.find(mark, self.at if start is None else start)
        end = len(self.text) if found < 0 else found + len(mark)
        self.line += self.text.count("\n", self.at, end)
        self.at = end

    def close(self) -> None:
        if self.words and self.words[0] not in _OPENERS and not self.in_pattern:
            self.found.append(Command(tuple(self.words), self.started))
        self.words.clear()

    def word(self) -> str:
        """The next word; commands inside it are collected."""
        text, start = self.text, self.at
        pieces: list[str] = []
        while self.at < len(text):
            if plain := _PLAIN.match(text, self.at):
                pieces.append(plain[0])
                self.at = plain.end()
                continue
            character = text[self.at]
            if character in " \t\n;&|<>()":
                break
            if character == "\\":
                if text.startswith("\\\n", self.at):
                    self.line += 1
                else:
                    pieces.append(text[self.at + 1 : self.at + 2])
                self.at += 2
            elif character == "'":
                pieces.append(self.single_quoted())
            elif character == '"':
                pieces.append(self.double_quoted())
            elif character == "`" or text.startswith(("$(", "${"), self.at):
                pieces.append(self.substitution())
            else:
                pieces.append(character)
                self.at += 1
        if self.at == start:
            self.at += 1
        return "".join(pieces)

    def single_quoted(self) -> str:
        end = self.text.find("'", self.at + 1)
        end = len(self.text) if end < 0 else end
        inside = self.text[self.at + 1 : end]
        self.line += inside.count("\n")
        self.at = end + 1
        return inside

    def double_quoted(self) -> str:
        pieces: list[str] = []
        text = self.text
        self.at += 1
        while self.at < len(text) and text[self.at] != '"':
            character = text[self.at]
            if character == "\\":
                pieces.append(text[self.at + 1 : self.at + 2])
                self.line += text.startswith("\\\n", self.at)
                self.at += 2
            elif character == "`" or text.startswith(("$(", "${"), self.at):
                pieces.append(self.substitution())
            else:
                plain = _QUOTED.match(text, self.at)
                piece = plain[0] if plain else character
                self.line += piece.count("\n")
                pieces.append(piece)
                self.at += len(piece)
        self.at += 1
        return "".join(pieces)

    def substitution(self) -> str:
        """A `$(...)`, `${...}` or backquotes; the commands in it are collected, its text stands as it is."""
        text, start = self.text, self.at
        if text[start] == "`":
            end = start + 1
            while end < len(text) and text[end] != "`":
                end += 2 if text[end] == "\\" else 1
            inside = text[start + 1 : end].replace("\\`", "`")
        elif text.startswith("$((", start):
            end = text.find("))", start)
            end = len(text) if end < 0 else end + 1
            inside = ""
        else:
            end = _matching(text, start + 1)
            inside = text[start + 2 : end] if text[start + 1] == "(" else ""
        if inside and self.depth < _DEPTH:
            inner = _Scan(inside, self.line, self.depth + 1)
            inner.run()
            self.found += inner.found
            self.functions |= inner.functions
        whole = text[start : end + 1]
        self.line += whole.count("\n")
        self.at = end + 1
        return whole

    def skip_here_documents(self) -> None:
        for name, strips in self.pending:
            while self.at < len(self.text):
                end = self.text.find("\n", self.at)
                end = len(self.text) if end < 0 else end
                line = self.text[self.at : end]
                self.at = min(end + 1, len(self.text))
                self.line += 1
                if (line.lstrip("\t") if strips else line) == name:
                    break
        self.pending.clear()


def _matching(text: str, at: int) -> int:
    """Where the parenthesis or brace at `at` closes, quotes left out; the end of the text when it does not."""
    opening, closing = text[at], {"(": ")", "{": "}"}[text[at]]
    depth = 0
    while at < len(text):
        character = text[at]
        if character == "\\":
            at += 1
        elif character == "'" and opening == "(":
            found = text.find("'", at + 1)
            at = len(text) if found < 0 else found
        elif character == '"':
            at += 1
            while at < len(text) and text[at] != '"':
                if text.startswith("$(", at):
                    at = _matching(text, at + 1)
                else:
                    at += text[at] == "\\"
                at += 1
        elif character == opening:
            depth += 1
        elif character == closing:
            depth -= 1
            if not depth:
                return at
        at += 1
    return len(text)


@lru_cache(maxsize=4096)
def find_commands(text: str) -> tuple[tuple[Command, ...], frozenset[str]]:
    """The simple commands of a script, in the order they end, and the functions that it defines."""
    scan = _Scan(text, 0, 0)
    scan.run()
    return tuple(scan.found), frozenset(scan.functions)
