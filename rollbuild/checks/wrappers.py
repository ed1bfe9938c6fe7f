"""Programs that run another program: exec, env, nohup and the like."""

from collections.abc import Iterator

from rollbuild.checks.shellwords import ASSIGNMENT, Command

_WRAPPERS = frozenset(["exec", "nohup", "env", "nice", "sudo", "setsid", "command", "builtin", "eval", "xargs"])


def unwrap(command: Command) -> Iterator[Command]:
    """The command, and what it runs in turn where its first word is exec, env, nohup or the like."""
    yield command
    words = command.words
    for _ in range(4):
        if words[0].rsplit("/", 1)[-1] not in _WRAPPERS:
            return
        rest = list(words[1:])
        while rest and (ASSIGNMENT.match(rest[0]) or rest[0].startswith("-")):
            if rest[0] in ("-v", "-V"):
                return
            takes_value = rest[0] in ("-n", "-I", "-P", "-u", "-L", "-s", "-a")
            del rest[: 2 if takes_value else 1]
        if not rest:
            return
        words = tuple(rest)
        yield Command(words, command.line)
