"""A profile of one appliance from a few lines of node file."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

import pytest

from rollbuild.checks import check_profile
from rollbuild.compiler import Compiler, Profile, Target
from rollbuild.findings import Finding
from rollbuild.language import complete, find_rolls, read_description
from rollbuild.releases import load_release

Make = Callable[..., Profile]
Check = Callable[..., list[Finding]]

GOOD = """\
<lang>en_US.UTF-8</lang><keyboard>us</keyboard><timezone>UTC</timezone><rootpw>--lock</rootpw>
<url>--url=http://a/b</url><text>--non-interactive</text><autopart/><reboot/>
"""


@pytest.fixture
def make_profile(tree: Callable[[Mapping[str, str]], Path]) -> Make:
    """Compile node `compute` (text inside <kickstart>) with further nodes below it, in the order given."""

    def make(text: str, release: str = "el9", attributes: Mapping[str, str] | None = None, **nodes: str) -> Profile:
        names = ["compute", *nodes]
        graph = "".join(f'<edge from="compute" to="{name}"/>' for name in nodes)
        graph += "".join(f'<order head="{a}" tail="{b}"/>' for a, b in pairwise(names))
        files = {f"roll/nodes/{name}.xml": f"<kickstart>{body}</kickstart>" for name, body in nodes.items()}
        files["roll/nodes/compute.xml"] = f"<kickstart>{text}</kickstart>"
        files["roll/graphs/default/roll.xml"] = f"<graph>{graph}</graph>"
        description = read_description(find_rolls([str(tree(files) / "roll")]))
        values = complete(
            attributes or {},
            root="compute",
            appliance="compute",
            membership="Compute",
            hostname="compute-0-0",
            os_release=release,
            graph="default",
        )
        return Compiler(description, load_release(release)).compile(Target("compute", "compute", "compute", values))

    return make


@pytest.fixture
def check(make_profile: Make) -> Check:
    """The findings of such a profile; `main` stands beside commands that an install needs."""

    def run(
        text: str = "", release: str = "el9", *, main: str = "", kickstart: bool = True, **more: str
    ) -> list[Finding]:
        profile = make_profile(f"<main>{GOOD}{main}</main>{text}", release, **more)
        return list(check_profile(profile, load_release(release), kickstart=kickstart))

    return run


@pytest.fixture
def check_main(make_profile: Make) -> Check:
    """The findings of a profile whose commands are all given."""

    def run(
        main: str, release: str = "el9", attributes: Mapping[str, str] | None = None, *, kickstart: bool = True
    ) -> list[Finding]:
        profile = make_profile(f"<main>\n{main}\n</main>", release, attributes)
        return list(check_profile(profile, load_release(release), kickstart=kickstart))

    return run
