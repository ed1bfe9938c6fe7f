import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rollbuild.errors import USAGE, RollbuildError
from rollbuild.language.attributes import (
    COMMAND_LINE,
    DEFAULT,
    GLOBAL,
    AttributeSet,
    complete,
    is_entity_name,
    parse_assignment,
    read_attributes,
    shell_risk,
)
from rollbuild.language.declarations import Declaration, collect_defaults, read_defaults
from rollbuild.location import Location

Write = Callable[[str, str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


def seen_by(attributes: AttributeSet, host: str = "", rack: str = "", appliance: str = "") -> dict[str, str]:
    return attributes.resolve_texts(os="linux", appliance=appliance, rack=rack, host=host)


SITE = """\
# the site
rocks_version_major: 7
yes_as_written: yes
octal: 007
version: 1.10
date: 2024-01-01
colon: 10:20
nothing:
tilde: ~
quoted_null: "null"
empty: ''
long: |
  one
  two
os: {linux: {shell: bash, where: os}, sunos: {shell: ksh}}
appliance:
  compute: {where: appliance, x11: false}
  login:
rack:
  0: {where: rack}
host:
  compute-0-0: {where: host}
global:
  where: global
"""


def test_yaml_keeps_what_is_written(write: Write) -> None:
    values = seen_by(read_attributes(write("site.yaml", SITE)))
    assert values == {
        "rocks_version_major": "7",
        "yes_as_written": "yes",
        "octal": "007",
        "version": "1.10",
        "date": "2024-01-01",
        "colon": "10:20",
        "nothing": "",
        "tilde": "",
        "quoted_null": "null",
        "empty": "",
        "long": "one\ntwo\n",
        "shell": "bash",
        "where": "os",
    }


@pytest.mark.parametrize(
    ("appliance", "rack", "host", "scope"),
    [
        ("", "", "", "os"),
        ("compute", "", "", "appliance"),
        ("compute", "0", "", "rack"),
        ("compute", "0", "compute-0-0", "host"),
        ("login", "1", "login-1-0", "os"),
    ],
)
def test_higher_scopes_hide_lower_ones(write: Write, appliance: str, rack: str, host: str, scope: str) -> None:
    attributes = read_attributes(write("site.yml", SITE))
    found = attributes.resolve(os="linux", appliance=appliance, rack=rack, host=host)
    assert (found["where"].value, found["where"].scope) == (scope, scope)
    assert {name: a.value for name, a in found.items()} == seen_by(attributes, host, rack, appliance)


def test_command_line_is_highest_and_default_is_lowest(write: Write) -> None:
    site = read_attributes(write("site.yaml", "a: site\nhost: {h: {b: host}}"))
    defaults = AttributeSet.of(DEFAULT, {"a": "default", "c": "default"})
    given_last = AttributeSet.of(COMMAND_LINE, {"b": "asked"})
    expected = {"a": "site", "b": "asked", "c": "default"}
    assert seen_by(given_last.merge(site).merge(defaults), host="h") == expected
    assert seen_by(defaults.merge(site).merge(given_last), host="h") == expected


def test_merging_lets_the_later_win_and_leaves_both_alone() -> None:
    one, two = AttributeSet.of(GLOBAL, {"a": "1", "b": "1"}), AttributeSet.of(GLOBAL, {"b": "2"})
    assert seen_by(one.merge(two)) == {"a": "1", "b": "2"}
    assert seen_by(two.merge(one)) == {"a": "1", "b": "1"}
    assert seen_by(one) == {"a": "1", "b": "1"} and seen_by(two) == {"b": "2"}


def test_each_resolve_gives_a_dict_of_its_own() -> None:
    attributes = AttributeSet.of(GLOBAL, {"a": "1"})
    seen_by(attributes)["a"] = "changed"
    attributes.resolve(os="", appliance="", rack="", host="").clear()
    assert seen_by(attributes) == {"a": "1"}


def test_scopes_can_be_listed(write: Write) -> None:
    attributes = read_attributes(write("site.yaml", SITE))
    assert attributes.keys_of("os") == ("linux", "sunos")
    assert attributes.keys_of("host") == ("compute-0-0",)


def test_values_know_where_they_were_written(write: Write) -> None:
    path = write("site.yaml", SITE)
    found = read_attributes(path).resolve(os="linux", appliance="", rack="", host="compute-0-0")
    assert found["octal"].location == Location(str(path), 4, 1)
    assert found["where"].location == Location(str(path), 22, 17)


def test_json_keeps_what_is_written(write: Write) -> None:
    text = '{"a": 1.10,\n\t"b": true, "c": null, "d": "x\\u00e9\\ud83d\\ude00\\/",\n "host": {"h": {"e": -1e5}}}'
    path = write("site.json", text)
    attributes = read_attributes(path)
    assert seen_by(attributes, host="h") == {"a": "1.10", "b": "true", "c": "", "d": "xé😀/", "e": "-1e5"}
    found = attributes.resolve(os="", appliance="", rack="", host="h")
    assert found["b"].location == Location(str(path), 2, 2)
    assert found["e"].location == Location(str(path), 3, 17)


@pytest.mark.parametrize("name", ["site.attrs", "attrs", "dump.txt"])
def test_key_value_lines(write: Write, name: str) -> None:
    text = "\ufeffa:1\r\n b : x:y  \n# comment: no\n\nno colon here\nos: linux\nempty:\n"
    path = write(name, text)
    attributes = read_attributes(path)
    assert seen_by(attributes) == {"a": "1", "b": "x:y", "os": "linux", "empty": ""}
    found = attributes.resolve(os="", appliance="", rack="", host="")
    assert found["b"].location == Location(str(path), 2, 1)


@pytest.mark.parametrize(
    "text",
    [
        '{"host": {"h": {"a": "1"}}}',
        "---\nhost: {h: {a: 1}}",
        "host:\n  h:\n    a: 1\n",
        "host: # hosts\n  h: {a: 1}\n",
        "host: {h: {a: 1}}",
        "a: 1",
    ],
)
def test_a_name_that_tells_nothing_may_hold_any_form(write: Write, text: str) -> None:
    assert seen_by(read_attributes(write("site", text)), host="h") == {"a": "1"}


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "{}", "host:\n", "global:\n"])
def test_a_file_may_hold_no_attributes(write: Write, text: str) -> None:
    assert seen_by(read_attributes(write("site.yaml", text))) == {}


REFUSED = [
    ("a.yaml", "a: 1\nb: 2\na: 3", 3, "`a` is given twice, first at", "leave one"),
    ("a.yaml", "a: 1\nglobal: {a: 2}", 2, "`a` is given twice, first at", "leave one"),
    ("a.yaml", "a:\n  - x\n  - y", 2, "`a` is a list", "separated by blanks or commas"),
    ("a.yaml", "a: {b: c}", 1, "`a` is a mapping", "scopes are global, os"),
    ("a.yaml", "host: {h: {a: {b: c}}}", 1, "`a` is a mapping", "scopes"),
    ("a.yaml", "host: {h: text}", 1, "a mapping is needed", "name: value"),
    ("a.yaml", "global: {a: [1]}", 1, "list", "commas"),
    ("a.yaml", "- a\n- b", 1, "a mapping is needed", "names to values"),
    ("a.yaml", "just text", 1, "a mapping is needed", "names to values"),
    ("a.yaml", "a: 1\nb: *.local", 2, "not valid YAML", "quotes"),
    ("a.yaml", "a: 1\nb: *local", 2, "`*local` would repeat", "quotes"),
    ("a.yaml", "a: &x 1\nb: *x", 1, "`&x` would name", "quotes"),
    ("a.yaml", "a: !!python/object/apply:os.system [id]", 1, "tag", "leave it out"),
    ("a.yaml", "a: !!int 3", 1, "tag", "leave it out"),
    ("a.yaml", "<<: {a: b}", 1, "`<<` is a mapping", "scopes"),
    ("a.yaml", "{{ a }}: 1", 1, "a key must be a name", "quotes"),
    ("a.yaml", "a: 1\n---\nb: 2", 2, "second document", "one document"),
    ("a.yaml", "a: 1\n\tb: 2", 2, "not valid YAML", "tabs"),
    ("a.yaml", "a: b: c", 1, "not valid YAML", "quotes"),
    ("a.yaml", "a: 'x", 1, "not valid YAML", "quotes"),
    ("a.yaml", "a: 1\nb: \x07", 2, "does not allow", "escapes"),
    ("a.yaml", "? [a]\n: b", 1, "a key must be a name", "quotes"),
    ("a.yaml", "a b: c", 1, '"a b" cannot be the name', "no blanks"),
    ("a.yaml", "'': c", 1, "no name", "write a name"),
    ("a.yaml", 'a: "x\\0y"', 1, "NUL", "short texts"),
    ("a.yaml", "[" * 50_000, 1, "nested deeper", "flat"),
    ("a.yaml", "a: " + "{a: " * 20 + "}" * 20, 1, "nested deeper", "flat"),
    ("a.yaml", "a: " + "x" * (1024 * 1024 + 1), 1, "longer than", "short texts"),
    ("a.json", '{"a": 1,\n "a": 2}', 2, "`a` is given twice, first at", "leave one"),
    ("a.json", '{"a": 1,\n "b": 2,}', 2, "not valid JSON", "comma"),
    ("a.json", '{"a": [1]}', 1, "`a` is a list", "commas"),
    ("a.json", "", 1, "not valid JSON", "quotes"),
    ("a.json", '{"a": NaN}', 0, "NaN is no value", "quotes"),
    ("a.json", "[" * 100_000, 0, "nested deeper", "flat"),
    ("a.json", '{"a":' * 20 + "1" + "}" * 20, 1, "nested deeper", "flat"),
    ("a.json", '{"a": "\\ud800"}', 1, "Unicode", "short texts"),
    ("a.attrs", "a: 1\nb: 2\na: 1", 3, "`a` is given twice, first at", "leave one"),
    ("a.attrs", "a: 1\n: 2", 2, "no name", "write a name"),
    ("a.attrs", "a b: 2", 1, '"a b" cannot be the name', "no blanks"),
    ("a.attrs", "a: x\0", 1, "NUL", "short texts"),
    ("notes", "some text\nwithout colons", 0, "no attributes", ".yaml"),
]


@pytest.mark.parametrize(("name", "text", "line", "message", "hint"), REFUSED)
def test_refused_with_place_and_hint(write: Write, name: str, text: str, line: int, message: str, hint: str) -> None:
    path = write(name, text)
    with pytest.raises(RollbuildError) as caught:
        read_attributes(path)
    error = caught.value
    assert error.location and (error.location.file, error.location.line) == (str(path), line)
    assert message in error.message and hint in error.hint


def test_a_repeated_name_shows_both_places(write: Write) -> None:
    path = write("a.yaml", "a: 1\nglobal:\n  a: 2")
    with pytest.raises(RollbuildError) as caught:
        read_attributes(path)
    assert str(caught.value.location) == f"{path}:3:3" and f"{path}:1:1" in caught.value.message


def test_other_encodings_and_large_files_are_refused(write: Write, tmp_path: Path) -> None:
    with pytest.raises(RollbuildError, match="UTF-8") as caught:
        read_attributes(write("a.yaml", b"a: 1\nb: \xe9\n"))
    assert caught.value.location and caught.value.location.line == 2
    with pytest.raises(RollbuildError, match="larger"):
        read_attributes(write("b.yaml", b"#" * (4 * 1024 * 1024 + 1)))
    with pytest.raises(RollbuildError):
        read_attributes(tmp_path / "missing.yaml")


def test_a_set_refuses_names_and_values_that_cannot_be() -> None:
    for values in ({"a b": "x"}, {"": "x"}, {"a\x01": "x"}, {"a": "\0"}, {"a": "\udc80"}):
        with pytest.raises(RollbuildError):
            AttributeSet.of(GLOBAL, values)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1", ("a", "1")),
        ("a=", ("a", "")),
        ("a=b=c", ("a", "b=c")),
        ("imgstorage-group= x ", ("imgstorage-group", " x ")),
    ],
)
def test_assignment(text: str, expected: tuple[str, str]) -> None:
    assert parse_assignment(text) == expected


@pytest.mark.parametrize("text", ["", "a", "=1", "a b=1", " a=1", "a\n=1", "a=\0"])
def test_bad_assignments_are_a_matter_of_usage(text: str) -> None:
    with pytest.raises(RollbuildError) as caught:
        parse_assignment(text)
    assert caught.value.exit_code == USAGE and caught.value.hint


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hostname", True),
        ("imgstorage-group", True),
        ("_a.b", True),
        ("größe", True),
        ("0a", False),
        ("-a", False),
        ("a/b", False),
        ("a@b", False),
        ("a b", False),
        ("a\n", False),
        ("", False),
        ("lt", False),
    ],
)
def test_entity_names(name: str, expected: bool) -> None:
    assert is_entity_name(name) is expected


def completed(values: dict[str, str], os_release: str = "el9") -> dict[str, str]:
    return complete(
        values,
        root="client",
        appliance="compute",
        membership="Compute",
        hostname="compute-0-0",
        os_release=os_release,
        graph="default",
    )


def test_every_host_has_the_intrinsic_attributes() -> None:
    assert completed({}) == {
        "os": "linux",
        "arch": "x86_64",
        "os_release": "el9",
        "os_version_major": "9",
        "release": "el9",
        "hostname": "compute-0-0",
        "appliance": "compute",
        "membership": "Compute",
        "rack": "0",
        "rank": "0",
        "graph": "default",
        "distribution": "rollbuild",
        "root": "client",
    }


def test_what_the_site_says_stays_except_what_is_compiled() -> None:
    site = {"arch": "aarch64", "rack": "3", "release": "7.0", "version": "x", "rocks_version_major": "6"}
    told = {"root": "x", "os_release": "el8", "os_version_major": "8"}
    values = completed({**site, **told, "rocks_version": "7.0"}, "el10")
    assert {name: values[name] for name in site} == site
    assert (values["root"], values["os_release"], values["os_version_major"]) == ("client", "el10", "10")


def test_the_rocks_version_fills_in_its_relatives() -> None:
    given_values = {"rocks_version": "7.1.2"}
    values = completed(given_values)
    assert (values["version"], values["rocks_version_major"]) == ("7.1.2", "7")
    assert given_values == {"rocks_version": "7.1.2"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", False),
        ("10.1.0.0/16", False),
        ("", False),
        ("two words", False),
        ("$HOME", False),
        ('"quoted"', False),
        ("cost $(id)", True),
        ("`id`", True),
        ("a\nb", True),
        ("O'Neil", True),
        ('5" disk', True),
        ('"it\'s"', False),
        ("ends\\", True),
        (r"escaped\"", False),
        (r"'kept\'", False),
        ("\"a'", True),
    ],
)
def test_shell_risk(value: str, expected: bool) -> None:
    assert shell_risk(value) is expected


DECLARED = """\
Kickstart_Lang: en_US
Info_Name:
  description: The name of the cluster.
  required: true
  example: granite
nodes: {type: integer, default: 007}
fs: {type: choice, choices: [xfs, ext4], default: xfs}
kind: {choices: [a, b]}
gateway: {type: address, default: ""}
unset: {default: null}
null_too:
"""


def test_declarations(write: Write) -> None:
    path = write("attributes.yaml", DECLARED)
    declared = {declaration.name: declaration for declaration in read_defaults(path)}
    place = Location(str(path), 2, 1)
    description = "The name of the cluster."
    assert declared["Info_Name"] == Declaration("Info_Name", None, description, "string", (), True, "granite", place)
    assert declared["Kickstart_Lang"].default == "en_US" and declared["Kickstart_Lang"].type == "string"
    assert declared["nodes"].default == "007"
    assert (declared["fs"].type, declared["fs"].choices) == ("choice", ("xfs", "ext4"))
    assert declared["kind"].type == "choice"
    assert declared["gateway"].default == ""
    assert declared["unset"].default is None and declared["null_too"].default is None


def test_declared_defaults_are_the_lowest_scope(write: Write) -> None:
    declared = read_defaults(write("attributes.yaml", DECLARED))
    defaults = collect_defaults(declared)
    values = {"Kickstart_Lang": "en_US", "nodes": "007", "fs": "xfs", "gateway": ""}
    assert seen_by(defaults) == values
    assert defaults.resolve(os="", appliance="", rack="", host="")["fs"].scope == DEFAULT


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        ("a:\n  defualt: x", 2, "`defualt`", "did you mean `default`?"),
        ("a:\n  zzz: x", 2, "`zzz`", "it may hold: default"),
        ("a: {type: strin}", 1, "`strin` is no type", "did you mean `string`?"),
        ("a: [1]", 1, "mapping", "default"),
        ("a: {default: [1]}", 1, "`default` must be one text", "commas"),
        ("a: {choices: x}", 1, "must be a list", "["),
        ("a: {choices: [x], type: string}", 1, "neither", "choice"),
        ("a: {type: choice}", 1, "neither", "choice"),
        ("a: {choices: [[x]]}", 1, "one text", "commas"),
        ("a: {choices: [x, y], default: z}", 1, "must be one of x, y", "correct"),
        ("a:\n  type: integer\n  default: ten", 3, "a whole number", "correct"),
        ("a:\n  required: maybe", 2, "yes or no", "true"),
        ("a: 1\na: 2", 2, "twice", "leave one"),
        ("a b: 1", 1, "cannot be the name", "no blanks"),
        ("[a]", 1, "a mapping is needed", "NAME"),
    ],
)
def test_bad_declarations(write: Write, text: str, line: int, message: str, hint: str) -> None:
    with pytest.raises(RollbuildError) as caught:
        read_defaults(write("attributes.yaml", text))
    assert caught.value.location and caught.value.location.line == line
    assert message in caught.value.message and hint in caught.value.hint


@pytest.mark.parametrize(
    ("type_name", "good", "bad"),
    [
        ("integer", ["0", "-3", "007"], ["", "1.5", "x", "1_0"]),
        ("boolean", ["yes", "Off", "1", "0"], ["", "maybe", "2"]),
        ("address", ["10.1.1.1", "2001:db8::1"], ["10.1.1", "10.1.1.256", "host", ""]),
        ("network", ["10.1.0.0/16", "10.1.0.0/255.255.0.0"], ["10.1.0.1/16", "x"]),
        ("hostname", ["a", "compute-0-0.local", "3com"], ["", "-a", "a_b", "a..b", "x" * 64, "a." * 150]),
        ("string", ["", "anything"], []),
        ("secret", ["anything"], []),
        ("list", ["a, b c"], []),
    ],
)
def test_types(type_name: str, good: list[str], bad: list[str]) -> None:
    declaration = Declaration("a", None, "", type_name, (), False, "", Location("x"))
    assert [value for value in good if declaration.explain_misfit(value)] == []
    assert [value for value in bad if not declaration.explain_misfit(value)] == []


# Property tests: files of any content, and maps that are written and read back.
SUFFIXES = st.sampled_from((".yaml", ".json", ".attrs", ""))
LIKELY = st.text(alphabet="ab:{}[],\"'\\#-&*!|>%@?~ \n\t\r0eu\x00\u00e9", max_size=60).map(str.encode)
names = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=12)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
scopes = ("global", "os", "appliance", "rack", "host")


def read_back(suffix: str, content: bytes) -> AttributeSet:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"site{suffix}"
        path.write_bytes(content)
        return read_attributes(path)


@given(SUFFIXES, st.one_of(st.binary(), LIKELY))
def test_any_bytes_are_read_or_refused(suffix: str, content: bytes) -> None:
    try:
        for value in seen_by(read_back(suffix, content)).values():
            assert isinstance(value, str) and "\0" not in value
    except RollbuildError as error:
        assert error.location


@given(st.one_of(st.binary(), LIKELY))
def test_any_declarations_are_read_or_refused(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "attributes.yaml"
        path.write_bytes(content)
        try:
            read_defaults(path)
        except RollbuildError as error:
            assert error.location


@given(st.dictionaries(names.filter(lambda name: name not in scopes), texts))
def test_yaml_and_json_round_trip(values: dict[str, str]) -> None:
    assert seen_by(read_back(".yaml", yaml.safe_dump(values).encode())) == values
    assert seen_by(read_back(".json", json.dumps(values).encode())) == values
    assert seen_by(read_back(".json", json.dumps(values, ensure_ascii=False).encode())) == values


@given(st.sampled_from(scopes[1:]), names, st.dictionaries(names, texts, min_size=1))
def test_scoped_round_trip(scope: str, key: str, values: dict[str, str]) -> None:
    content = yaml.safe_dump({scope: {key: values}}).encode()
    attributes = read_back(".yaml", content)
    assert attributes.keys_of(scope) == (key,)
    selected = {"os": "", "appliance": "", "rack": "", "host": ""} | {scope: key}
    assert attributes.resolve_texts(**selected) == values
