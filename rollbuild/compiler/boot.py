"""Scripts of the first boot: files in /etc/rollbuild/boot-*.d and two systemd units that run them once."""

from rollbuild.location import Location

Lines = list[tuple[str, Location | None]]

_UNIT = """\
[Unit]
Description=Scripts of the first boot, {when} the services
ConditionDirectoryNotEmpty=/etc/rollbuild/boot-{order}.d
{after}

[Service]
Type=oneshot
ExecStart=/bin/bash -c 'for s in /etc/rollbuild/boot-{order}.d/*.sh; do /bin/bash "$$s" && rm -f "$$s"; done'

[Install]
WantedBy=multi-user.target
"""
_AFTER = {
    "pre": ("before", "After=local-fs.target\nBefore=network-pre.target\nWants=network-pre.target"),
    "post": ("after", "After=network-online.target\nWants=network-online.target"),
}


def boot_lines(scripts: list[tuple[str, str, Location, Lines]]) -> Lines:
    """Shell that puts the scripts (node, pre or post, place, body) and their units in place.

    A script that succeeds removes itself; one that fails is tried again at the next boot.
    """
    lines: Lines = [("set -eu", None)]
    for order in ("pre", "post"):
        chosen = [(node, place, body) for node, when, place, body in scripts if when == order]
        if not chosen:
            continue
        folder = f"/etc/rollbuild/boot-{order}.d"
        lines.append((f"mkdir -p {folder}", None))
        for number, (node, place, body) in enumerate(chosen):
            delimiter = "RB_BOOT"
            while any(line == delimiter for line, _ in body):
                delimiter += "_"
            lines.append((f"cat > {folder}/{number:02}-{node}.sh <<'{delimiter}'", place))
            lines += body
            lines.append((delimiter, place))
        when, after = _AFTER[order]
        unit = f"rollbuild-boot-{order}.service"
        lines.append((f"cat > /etc/systemd/system/{unit} <<'RB_UNIT'", None))
        text = _UNIT.format(when=when, order=order, after=after)
        lines += [(line, None) for line in text.splitlines()]
        lines.append(("RB_UNIT", None))
        lines.append((f"systemctl enable {unit}", None))
    return lines
