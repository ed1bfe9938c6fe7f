import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbuild.checks.shellwords import Command, find_commands
from rollbuild.checks.wrappers import unwrap

# A script, and the programs that it runs with the lines (from 0) they stand on.
PROGRAMS = {
    "plain": ("timeout 5 curl x", "timeout:0"),
    "argument": ("grep timeout file", "grep:0"),
    "comment": ("# timeout\ntrue # timeout", "true:1"),
    "not a comment": ("echo a#b; git", "echo:0 git:0"),
    "separators": ("a; b && c || d | e & f", "a:0 b:0 c:0 d:0 e:0 f:0"),
    "keywords": ("if a; then b; elif c; then d; else e; fi", "a:0 b:0 c:0 d:0 e:0"),
    "loops": ("for x in git jq; do a $x; done\nwhile b; do c; done\nuntil d; do e; done", "a:0 b:1 c:1 d:2 e:2"),
    "negated and grouped": ("! a\n{ b; }\n( c; d )", "a:0 b:1 c:2 d:2"),
    "assignment": ("A=1 B='x y' git clone\nC=jq", "git:0"),
    "array": ("a=(git jq\n  dnf)\ntrue", "true:2"),
    "single quotes": ("echo 'a; git\n timeout'\ntrue", "echo:0 true:2"),
    "double quotes": ('echo "a; git\n timeout" && true', "echo:0 true:1"),
    "substitution": ('echo "$(git log)" `jq .` $(a $(b))', "git:0 jq:0 b:0 a:0 echo:0"),
    "substitution in assignment": ("X=$(nproc)", "nproc:0"),
    "arithmetic": ("x=$((git + 1)); ((jq = 2)); true", "true:0"),
    "expansion": ('echo ${git:-"a b"} ${x%%git*}', "echo:0"),
    "here document": ("cat > /x <<'EOF'\ngit\ntimeout 5\nEOF\ntrue", "cat:0 true:4"),
    "here document with tabs": ("cat <<-EOF\n\tgit\n\tEOF\ntrue", "cat:0 true:3"),
    "two here documents": ("cat <<A; cat <<B\ngit\nA\njq\nB\ntrue", "cat:0 cat:0 true:5"),
    "here string": ("cat <<< git\ntrue", "cat:0 true:1"),
    "piped here document": ("cat <<E | sort\ngit\nE\ntrue", "cat:0 sort:0 true:3"),
    "redirections": (">git 2>&1 <jq a b &>dnf\n2>/dev/null c", "a:0 c:1"),
    "process substitution": ("a <(git) >(jq)", "a:0 git:0 jq:0"),
    "continued": ("a \\\n git\nb", "a:0 b:2"),
    "case": ("case $1 in\nstart|git) a;;\n(jq) b ;;\n*) c\nesac\nd", "a:1 b:2 c:3 d:5"),
    "case in a case": ("case x in a) case y in git) b;; esac;; jq) c;; esac", "b:0 c:0"),
    "function": ("git() { a; }\nfunction jq { b; }\ngit", "a:0 b:1 git:2"),
    "test": ("[[ git < jq && $x == dnf ]] && a", "a:0"),
    "a quote that never closes": ("a 'git\njq", "a:0"),
    "a substitution that never closes": ("a $(git\njq", "git:0 jq:1 a:0"),
}


@pytest.mark.parametrize(("text", "expected"), PROGRAMS.values(), ids=PROGRAMS)
def test_programs_are_found_where_programs_stand(text: str, expected: str) -> None:
    commands, _ = find_commands(text)
    assert [f"{command.words[0]}:{command.line}" for command in commands] == expected.split()


def test_functions_are_told() -> None:
    assert find_commands("a() { x; }\nfunction b { y; }\nfunction c() { z; }")[1] == {"a", "b", "c"}


def test_words_lose_their_quotes() -> None:
    assert find_commands("sy'stem'ctl \"start\" a\\ b")[0][0].words == ("systemctl", "start", "a b")


WRAPPED = {
    "exec git": "exec git",
    "exec -a name git": "exec git",
    "env -u X A=1 jq .": "env jq",
    "nohup nice -n 5 dnf": "nohup nice dnf",
    "command -v git": "command",
    "xargs -n 1 -r file": "xargs file",
    "exec": "exec",
}


@pytest.mark.parametrize(("text", "expected"), WRAPPED.items())
def test_wrappers_are_opened(text: str, expected: str) -> None:
    assert [c.words[0] for c in unwrap(Command(tuple(text.split()), 0))] == expected.split()


@given(st.text(alphabet="ab $(){}[]<>|&;'\"`\\\n#=!-", max_size=60))
def test_any_text_is_read_to_its_end(text: str) -> None:
    commands, _ = find_commands(text)
    for command in commands:
        assert command.words
        assert 0 <= command.line <= text.count("\n")
