import shlex
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbuild.compiler.template import quote_kickstart, render_template
from rollbuild.errors import RollbuildError
from rollbuild.language import Piece, Template, Text
from rollbuild.location import Location

DATA = {"hosts": [{"name": "c0", "ip": "10.1.0.1"}, {"name": "c1", "ip": "10.1.0.2"}], "number": 7}


def render(source: str, **attributes: str) -> str:
    text = Text("n.xml", (Piece(source, 5, 11),))
    return render_template(Template(text, (), Location("n.xml", 5, 1)), attributes, DATA)


def refusal(source: str, **attributes: str) -> RollbuildError:
    with pytest.raises(RollbuildError) as caught:
        render(source, **attributes)
    assert caught.value.location is not None
    assert caught.value.location.file == "n.xml"
    assert "\n" not in caught.value.message
    return caught.value


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ x }}-{{ number + 1 }}", "value-8"),
        ("{{ attributes['odd-name'] }}", "it's"),
        ("{% for h in hosts %}\n{{ loop.index }}/{{ loop.length }} {{ h.name }}\n{% endfor %}", "1/2 c0\n2/2 c1\n"),
        ("{% for h in hosts if h.ip == 'no' %}x{% else %}none{% endfor %}", "none"),
        (
            "{% for a in [1, 2] %}{% for b in 'xy' %}{{ a }}{{ b }}{{ loop.last }} {% endfor %}{% endfor %}",
            "1xFalse 1yTrue 2xFalse 2yTrue ",
        ),
        ("{{ hosts|map(attribute='name')|join(', ') }}", "c0, c1"),
        ("{{ 'a' ~ number ~ none }}", "a7None"),
        ("{{ 8192 * 1024 * 1024 }} {{ 7.5 * 2 }} {{ 2 ** 40 }} {{ 'ab' * 3 }}", "8589934592 15.0 1099511627776 ababab"),
        ("{{ '%03d'|format(number) }} {{ '%5.1f'|format(2.25) }}", "007   2.2"),
        (
            "{{ x.replace('a', 'b') }} {{ x|replace('a', 'b') }} {{ '7'.zfill(3) }} {{ '-'.join(['a', 'b']) }}",
            "vblue vblue 007 a-b",
        ),
        ("{{ x.split('l') }} {{ x[1:3] }} {{ x|upper|truncate(99) }}", "['va', 'ue'] al VALUE"),
        ("{{ {'b': 1, 'a': 'é<'}|tojson }}", '{"a": "é<", "b": 1}'),
        ("{{ [1, 2]|sum }} {{ hosts|length }} {{ hosts|map(attribute='ip')|sort|last }}", "3 2 10.1.0.2"),
        ("{{ nosuch|default('d') }} {{ nosuch is defined }}", "d False"),
        ("{% macro m(a) %}[{{ a }}]{% endmacro %}{{ m(x) }}", "[value]"),
        ("{% set ns = namespace(n=0) %}{% for h in hosts %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}", "2"),
        ("{% raw %}{{ x }}{% endraw %}", "{{ x }}"),
        ("{{ x|sh }} {{ odd|sh }} {{ odd|ks }} {{ x|ks }} {{ ''|ks }}", 'value \'a "b" $c\' "a \\"b\\" $c" value ""'),
        ("a\n", "a\n"),
    ],
)
def test_rendering(source: str, expected: str) -> None:
    assert render(source, x="value", odd='a "b" $c', **{"odd-name": "it's"}) == expected


@pytest.mark.parametrize(
    "expression",
    [
        "''.__class__",
        "''['__class__']",
        "''|attr('__class__')",
        "hosts.__init__",
        "[].__class__.__base__.__subclasses__()",
        "'{0.__class__}'.format(1)",
        "'{x.__class__}'.format_map(attributes)",
        "'%s' % ''.__class__",
        "'%(a)s' % {'a': 1}",
        "self.__init__",
        "self._TemplateReference__context",
        "namespace.__init__.__globals__",
        "dict.mro()",
        "range.__self__",
        "refuse.__globals__",
        "joiner.__init__.__globals__",
        "lipsum.__globals__['os']",
        "cycler",
        "hosts.append(1)",
        "hosts.clear()",
        "attributes.update(x=1)",
        "hosts[0].pop('name')",
        "(1).__class__",
        "number.real.__class__",
        "''.encode('utf-8')",
        "x.translate({97: 'b'})",
        "hosts|map('attr', '__class__')|list",
        "hosts|map(attribute='__class__')|join",
        "hosts|groupby('__class__')",
        "debug()",
    ],
)
def test_there_is_no_way_out_of_the_sandbox(expression: str) -> None:
    refusal("{{ " + expression + " }}", x="a")


@pytest.mark.parametrize(
    "statement", ["include 'x'", "import 'os' as o", "extends 'x'", "from 'x' import y", "do 1", "debug"]
)
def test_templates_use_no_other_files(statement: str) -> None:
    refusal("{% " + statement + " %}")


BOMBS = [
    "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
    "{% for i in range(100000) %}{% for j in range(100000) if false %}{% endfor %}{% endfor %}",
    "{% for i in big %}{% for j in big %}{% endfor %}{% endfor %}",
    "{% for h in hosts recursive %}{{ loop(hosts) }}{{ loop(hosts) }}{% endfor %}",
    "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "{% set ns = namespace(x=big) %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    "{% set ns = namespace(x=big) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "{% set ns = namespace(x=big) %}{% for i in range(99) %}{% set ns.x %}{{ ns.x }}{{ ns.x }}{% endset %}{% endfor %}",
    "{% set ns = namespace(x=[]) %}{% for i in range(9999) %}{% set ns.x = ns.x + [big * 400 ~ i] %}{% endfor %}",
    "{% for i in range(9999) %}{% set y = (big * 400)|upper %}{% endfor %}",
    "{% for i in range(100000) %}{{ big }}{% endfor %}",
    "{{ 'x' * 10 ** 9 }}",
    "{{ 10 ** 9 * 'x' }}",
    "{{ ['x'] * 10 ** 9 }}",
    "{{ (big * 400)|replace('x', big * 400) }}",
    "{{ (big * 400).replace('x', big * 400) }}",
    "{{ ([big * 400] * 1000)|join }}",
    "{{ big.join([big * 400] * 1000) }}",
    "{{ 'a'.ljust(10 ** 10) }}",
    "{{ 'a'.zfill(10 ** 10) }}",
    "{{ 'a'.center(10 ** 10) }}",
    "{{ 'a'|center(10 ** 10) }}",
    "{{ '\t'.expandtabs(10 ** 10) }}",
    "{{ '%10000000000d'|format(1) }}",
    "{{ '%*d'|format(10000000000, 1) }}",
    "{{ '%.9999999999f'|format(1) }}",
    "{{ '{:10000000000}'.format(1) }}",
    "{{ [1]|batch(10 ** 10, 0)|list }}",
    "{{ [1]|slice(10 ** 10)|list }}",
    "{{ 9 ** 9 ** 9 ** 9 }}",
    "{{ 2 ** 999999999 }}",
    "{{ ([[1] * 1000] * 4000)|sum(start=[]) }}",
    "{{ 'a'|indent(10 ** 10) }}",
    "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "{% if 1 %}" * 400 + "{% endif %}" * 400,
    "{% set ns = namespace(x=2) %}{% for i in range(99) %}{% set ns.x = ns.x * ns.x %}{% endfor %}",
]


@pytest.mark.long
@pytest.mark.parametrize("source", BOMBS)
def test_time_and_memory_are_bounded(source: str) -> None:
    started = time.process_time()
    refusal(source, big="x" * 10_000)
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    ("source", "line", "words", "hint"),
    [
        ("a\n{{ hostnam }}", 6, "'hostnam' is undefined", "did you mean hostname?"),
        ("\n\n{{ zzz }}", 7, "'zzz' is undefined", "-A zzz=VALUE"),
        (
            "a\n\n{% if hostname == 'x' %}\n{{ refuse('node x needs a disk') }}\n{% endif %}",
            8,
            "node x needs a disk",
            "",
        ),
        ("a\n{% if %}", 6, "cannot be read", ""),
        ("a\n{{ 'x", 6, "cannot be read", ""),
        ("{% for %}", 5, "cannot be read", ""),
        ("a\n{{ x|nofilter }}", 6, "cannot be read", ""),
        ("a\n\n{{ 1 / 0 }}", 7, "division by zero", ""),
        ("a\n{{ hostname + 1 }}", 6, "str", ""),
    ],
)
def test_failures_are_told_at_their_line(source: str, line: int, words: str, hint: str) -> None:
    problem = refusal(source, hostname="x")
    assert problem.location is not None
    assert problem.location.line == line
    assert words in problem.message
    assert hint in problem.hint


def test_the_budget_is_each_rendering_s_own() -> None:
    for _ in range(3):
        assert render("{% for i in range(90000) %}x{% endfor %}") == "x" * 90_000


@given(st.text())
def test_filters_quote_whatever_there_is(value: str) -> None:
    assert shlex.split(render("{{ value|sh }}", value=value)) == [value]
    if "\n" in value or "\r" in value:
        with pytest.raises(ValueError, match="line end"):
            quote_kickstart(value)
    else:
        assert shlex.split(quote_kickstart(value), comments=True) == [value]


@given(
    st.text(alphabet="{}%# \n'\"()[]|.abx019_-~*+", max_size=30),
    st.dictionaries(st.sampled_from(["a", "b", "x"]), st.text()),
)
def test_any_text_renders_or_is_refused(source: str, attributes: dict[str, Any]) -> None:
    try:
        render(source, **attributes)
    except RollbuildError as problem:
        assert problem.location is not None
        assert problem.location.line >= 5
