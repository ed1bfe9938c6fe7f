"""Bodies of scripts: author's text as it stands, files as shell that writes them."""

import base64
import re

from rollbuild.compiler.context import Context, TextLines
from rollbuild.compiler.profile import WrittenFile
from rollbuild.findings import error
from rollbuild.language import Copy, Eval, File, Part, Template, Text, read_fragment
from rollbuild.location import Location

Lines = list[tuple[str, Location | None]]

_RESERVED = "end pre pre-install post packages onerror traceback addon anaconda certificate include"
RESERVED = frozenset(f"%{word}" for word in _RESERVED.split())
"""First words of lines that the Kickstart parser acts upon, even inside a script (pykickstart, all handlers)."""

KEEP_ORIGINAL = (
    'keep_original() { [ -e "/var/lib/rollbuild/orig$1" ] || [ -e "/var/lib/rollbuild/orig$1.absent" ] || '
    '{ mkdir -p "/var/lib/rollbuild/orig${1%/*}" && if [ -e "$1" ]; then cp -p "$1" "/var/lib/rollbuild/orig$1"; '
    'else : > "/var/lib/rollbuild/orig$1.absent"; fi; }; }'
)
"""Shell function: the first time a file is changed, what was there before, or that nothing was, is kept aside."""

_ALWAYS_THERE = frozenset(("", "/etc", "/root", "/tmp", "/var/tmp", "/usr/bin", "/usr/sbin"))  # noqa: S108  paths on the host
_HIDE, _HIDE_SOME = "|", "RB_|"
_SAFE_WORD = re.compile(r"[A-Za-z0-9@%+=:,./_-]+\Z")


def is_reserved(line: str) -> bool:
    """Whether the Kickstart parser would take this line of a script for its own.

    It also starts a new line at carriage returns and at Unicode's line separators (str.splitlines).
    """
    return "%" in line and any(_first_word(part) in RESERVED for part in line.splitlines())


def _first_word(line: str) -> str:
    return next(iter(line.split(None, 1)), "")


def assemble_parts(
    parts: tuple[Part, ...], context: Context, *, node: str, in_target: bool
) -> tuple[Lines, list[WrittenFile]]:
    """Lines of a script's body, and the files that it writes. `in_target`: the host's own system is there."""
    text = TextLines()
    files: list[WrittenFile] = []
    for part in parts:
        if isinstance(part, Text):
            context.note_references(part)
            text.add(_placed(part, context))
        elif not all(guard.holds(context.attributes) for guard in part.guards):
            continue
        elif isinstance(part, File):
            lines, written = _file_lines(part, context, node=node, in_target=in_target)
            text.add_block(lines)
            files.append(written)
        elif isinstance(part, Copy):
            lines, written = _copy_lines(part, context, node=node)
            text.add_block(lines)
            files.append(written)
        elif isinstance(part, Eval) and part.as_xml:
            fragment, findings = read_fragment(context.run(part), part.location)
            context.findings += findings
            lines, written_files = assemble_parts(fragment, context, node=node, in_target=in_target)
            if written_files:
                text.add_block(trim(lines))
            else:
                text.add(lines)
            files += written_files
        else:
            output = context.run(part) if isinstance(part, Eval) else context.render(part)
            text.add(_output_lines(output, part))
    return text.lines, files


def trim(lines: Lines) -> Lines:
    """Lines without a first and a last one that are blank (those of the tags themselves)."""
    return TextLines(lines).trimmed()


def _placed(text: Text, context: Context) -> Lines:
    return [(line, Location(text.file, number)) for line, number in text.expand_lines(context.look_up)]


def _output_lines(output: str, part: Eval | Template) -> Lines:
    """A program's or template's output as running text, without a first blank line and the last line end."""
    output = output.removeprefix("\n") if isinstance(part, Template) else output
    output = output[:-1] if output.endswith("\n") else output
    return [(line, part.location) for line in output.split("\n")]


def quote_word(text: Text, context: Context) -> str:
    """A file name or owner as one shell word; variables of the shell in it still work."""
    value = context.require(text).strip()
    context.pin(text)
    if any("$" in piece.text for piece in text.pieces if not piece.is_reference):
        # Only the author's own $ is one to the shell; that of an attribute's value stands for itself.
        escaped = text.expand(lambda name: context.look_up(name).replace("$", "\0")).strip()
        for character in '\\"`':
            escaped = escaped.replace(character, f"\\{character}")
        escaped = escaped.replace("\0", "\\$")
        return f'"{escaped}"'
    if text.literal is not None and _SAFE_WORD.match(value):
        return value
    return "'" + value.replace("'", "'\"'\"'") + "'"


def _file_lines(file: File, context: Context, *, node: str, in_target: bool) -> tuple[Lines, WrittenFile]:
    place = file.location
    path = context.require(file.name).strip()
    name = quote_word(file.name, context)
    owner = context.require(file.owner).strip() if file.owner else ""
    context.pin(file.owner)
    perms = context.require(file.perms).strip() if file.perms else ""
    body, _ = assemble_parts(file.body, context, node=node, in_target=in_target)
    body = trim(body)
    lines: Lines = []
    lines += _make_folder(name, path, place)
    if in_target and file.keeps_original:
        lines.append((f"keep_original {name}", place))
    lines += _content_lines(file, context, name, body)
    if owner:
        lines.append((f"chown {_quoted(_owner(owner), file.owner)} {name}", place))
    if perms:
        lines.append((f"chmod {_quoted(perms, file.perms)} {name}", place))
    content = None if file.expr is not None or file.mode == "pipe" else "".join(line + "\n" for line, _ in body)
    return lines, WrittenFile(path, file.mode, owner, perms, content, file.expands, node, place)


def _make_folder(name: str, path: str, place: Location) -> Lines:
    folder = path.rpartition("/")[0]
    if folder in _ALWAYS_THERE:
        return []
    quote = name[0] if name[0] in "\"'" else ""
    return [(f"mkdir -p {name.rpartition('/')[0]}{quote}", place)]


def _quoted(value: str, text: Text | None) -> str:
    if text is not None and text.literal is not None and _SAFE_WORD.match(value):
        return value
    return "'" + value.replace("'", "'\"'\"'") + "'"


def _owner(owner: str) -> str:
    # user.group is what the old chown took; a dot is legal in today's user names.
    if ":" not in owner and owner.count(".") == 1:
        return owner.replace(".", ":")
    return owner


def _content_lines(file: File, context: Context, name: str, body: Lines) -> Lines:
    place = file.location
    if file.mode == "pipe":
        source = quote_word(file.source, context) if file.source is not None else name
        program = body or [("cat", place)]
        if file.source is not None:
            return [(f"cat {source} | (", place), *program, (f") > {name}", place)]
        temporary = f"{name}.rollbuild"
        return [
            (f"cat {name} | (", place),
            *program,
            (f") > {temporary} && cat {temporary} > {name} && rm -f {temporary}", place),
        ]
    redirect = ">>" if file.mode == "append" else ">"
    lines: Lines = []
    if file.expr is not None:
        lines.append((f"{context.require(file.expr).strip()} {redirect} {name}", place))
        redirect = ">>"
    if body:
        lines += _here_document(f"{redirect} {name}", body, expands=file.expands, place=place)
    elif file.expr is None:
        lines.append((f"touch {name}", place))
    return lines


def _here_document(target: str, body: Lines, *, expands: bool, place: Location) -> Lines:
    """`cat > FILE` with the body; lines that the Kickstart parser would take for its own are marked and unmarked."""
    if not any(is_reserved(line) for line, _ in body):
        program, hidden = "cat", body
    elif not expands and any("%" in part for line, _ in body for part in line.splitlines()[1:]):
        # These lines hold line ends of other kinds, where no mark can stand in front.
        data = "".join(line + "\n" for line, _ in body).encode()
        program, hidden = "base64 -d", [(line, place) for line in base64.encodebytes(data).decode().split()]
    else:
        program = f"sed 's/^{_HIDE_SOME if expands else _HIDE}//'"
        hidden = _hide(body, expands=expands)
    taken = {line for line, _ in hidden}
    delimiter, number = "RB_EOF", 1
    while delimiter in taken:
        number += 1
        delimiter = f"RB_EOF_{number}"
    quoted = delimiter if expands else f"'{delimiter}'"
    return [
        (f"{program} {target} <<{quoted}", place),
        *hidden,
        (delimiter, place),
    ]


def _hide(body: Lines, *, expands: bool) -> Lines:
    """The lines with marks in front, so that none starts with what the Kickstart parser acts upon."""
    if not expands:
        return [(_HIDE + line, where) for line, where in body]
    # Where the shell expands, only lines that need a mark may have one: others may lie within $( ... ), or go on
    # from a line that ends with a backslash.
    hidden: Lines = []
    goes_on = False
    for line, where in body:
        needs_mark = not goes_on and (is_reserved(line) or line.startswith(_HIDE_SOME))
        hidden.append((_HIDE_SOME + line if needs_mark else line, where))
        goes_on = (len(line) - len(line.rstrip("\\"))) % 2 == 1
    return hidden


def _copy_lines(copy: Copy, context: Context, *, node: str) -> tuple[Lines, WrittenFile]:
    path = context.require(copy.name).strip()
    name = quote_word(copy.name, context)
    lines = _make_folder(name, path, copy.location)
    encoded = base64.encodebytes(copy.data).decode().splitlines()
    lines.append((f"base64 -d > {name} <<'RB_EOF'", copy.location))
    lines += [(line, copy.location) for line in encoded]
    lines.append(("RB_EOF", copy.location))
    return lines, WrittenFile(path, "create", "", "", None, False, node, copy.location)


def refuse_reserved(lines: Lines, context: Context) -> None:
    """Report lines of a script itself that the Kickstart parser would take for its own."""
    for line, location in lines:
        if is_reserved(line):
            word = next(_first_word(part) for part in line.splitlines() if is_reserved(part))
            message = f"a line of a script cannot start with {word}: the installer would act on it"
            hint = "write that text with <file>, which keeps such lines safe"
            context.findings.append(error("KS-RESERVED-LINE", message, location, hint))
