"""What README.md shows is what the commands print."""

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def consoles() -> list[str]:
    """The texts of the console blocks."""
    return re.findall(r"^```console\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def transcript(block: str) -> list[tuple[list[str], str]]:
    """The commands of a block, each with what it prints."""
    parts = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)[1:]
    return [(shlex.split(line), shown) for line, shown in zip(parts[::2], parts[1::2], strict=True)]


@pytest.fixture
def site(tmp_path, monkeypatch):
    for name in ("rolls", "graphs"):
        (tmp_path / name).symlink_to(ROOT / name)
    found = re.search(r"^```xml\n(<!-- (\S+) -->\n.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert found
    path = tmp_path / found[2]
    path.parent.mkdir(parents=True)
    path.write_text(found[1])
    monkeypatch.chdir(tmp_path)
    return path


def test_the_front_end_prints_what_it_says(tmp_path, monkeypatch, rocks):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("ROLLBUILD_ROOT", str(tmp_path))
    # As make demo does it.
    demo = (ROOT / "tools" / "demo.sh").read_text(encoding="utf-8")
    for line in re.findall(r'^"\$rocks" (add .*)$', demo, re.MULTILINE):
        done = rocks(*shlex.split(line))
        assert done.code == 0, done.err
    (block,) = (block for block in consoles() if "$ rocks " in block)
    for argv, shown in transcript(block):
        done = rocks(*argv[1:])
        assert done.out + done.err == shown, argv


def test_the_worked_example_prints_what_it_says(site, rollbuild):
    for block in consoles():
        if "error:" in block:
            wrong = site.read_text().replace("<package>", '<package cond="gpu = true">')
            site.write_text(wrong.replace("<post", "<pots").replace("</post", "</pots"))
        for argv, shown in transcript(block):
            if argv[0] == "rollbuild":
                done = rollbuild(*argv[1:])
                assert done.out + done.err == shown, argv


def test_the_script_that_it_shows_is_in_the_kickstart(site, rollbuild):
    assert (
        rollbuild(
            "compile", "compute", *["--rolls", "rolls", "--rolls", "graphs", "--rolls", "mysite", "-o", "out"]
        ).code
        == 0
    )
    found = re.search(r"^```\n(%post.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert found
    assert found[1] in Path("out/compute.ks").read_text()
