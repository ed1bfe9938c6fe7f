"""A generated corpus of the size and shape of the rolls of Rocks 7."""

from pathlib import Path

ROLLS = 19
NODES = 220
EDGES = 250
ORDERS = 120


def write_corpus(folder: Path, *, payload: int = 0) -> None:
    """Write 19 rolls with 220 nodes, 250 edges and 120 orders; `payload` lines more go into one file."""
    names = ["compute", "server", *(f"node-{number:03}" for number in range(NODES - 2))]
    edges = []
    for index, name in enumerate(names[2:], 2):
        # Two fifths hang from compute and its children, as in the real rolls.
        parent = names[(index * 7) % max(index // 3, 1)] if index > 4 else names[index % 2]
        edges.append((parent, name))
    edges += [("server" if index % 2 else "compute", names[2 + index]) for index in range(EDGES - len(edges))]
    orders = [(names[2 + 3 * index % 200], names[2 + 3 * index % 200 + 1]) for index in range(ORDERS - 1)]
    for roll in range(ROLLS):
        place = folder / f"roll{roll:02}"
        (place / "nodes").mkdir(parents=True)
        (place / "graphs" / "default").mkdir(parents=True)
        lines = ["<graph>"]
        for parent, child in edges[roll::ROLLS]:
            condition = ' cond="rocks_version_major == 7"' if hash_of(child) % 9 == 0 else ""
            lines.append(f'  <edge from="{parent}"><to{condition}>{child}</to></edge>')
        lines += [f'  <order head="{head}" tail="{tail}"/>' for head, tail in orders[roll::ROLLS] if head != tail]
        if roll == 0:
            lines += ['  <order head="TAIL" tail="compute"/>', '  <appliance name="compute" root="compute"/>']
        (place / "graphs" / "default" / "graph.xml").write_text("\n".join([*lines, "</graph>\n"]))
        for name in names[roll::ROLLS]:
            extra = payload if name == "compute" else 0
            (place / "nodes" / f"{name}.xml").write_text(node_text(name, extra))


def hash_of(name: str) -> int:
    return sum(map(ord, name))


def node_text(name: str, payload: int) -> str:
    """A node file of about 7 kB: changelog, packages, scripts with files, references and conditions."""
    changelog = "".join(f"  Revision 1.{number}: a change of {name}\n" for number in range(60))
    packages = "".join(f"<package>{name}-{number}</package>\n" for number in range(5))
    lines = "".join(f"line {number} of {name} on &hostname; at &hostaddr;\n" for number in range(20))
    long = "a line of a large configuration file, some eighty characters long ...."
    big = "".join(f"# {number:06} {long}\n" for number in range(payload))
    main = "<main><lang>en_US</lang></main>" if name == "compute" else ""
    return f"""<?xml version="1.0" standalone="no"?>
<kickstart>
<description>What {name} is for</description>
<changelog>
{changelog}</changelog>
{main}
{packages}
<package cond="rocks_version_major == 7">{name}-seven</package>
<post>
mkdir -p /var/lib/{name}
<file name="/etc/{name}.conf" perms="0644">
{lines}{big}</file>
if [ -e /etc/{name}.conf ]; then
    echo "{name} is configured" &gt;&gt; /var/log/{name}.log
fi
</post>
<post cond="not nothing" arg="--nochroot">
# &Kickstart_PrivateAddress; of {name}
echo {name}
</post>
</kickstart>
"""
