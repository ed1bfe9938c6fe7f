"""Kickstarts of the database's hosts, from the generation that they install from."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rollbuild.compiler import Plan, Profile, Target
from rollbuild.distribution import Generation
from rollbuild.errors import FindingsError, RollbuildError
from rollbuild.findings import Finding, Severity
from rollbuild.frontend.authority import ATTRIBUTE as TLS_ATTRIBUTE
from rollbuild.frontend.authority import uses_tls
from rollbuild.frontend.kickstartinputs import InputFinder, Inputs
from rollbuild.frontend.place import FrontEnd
from rollbuild.language import HIDDEN, is_hidden
from rollbuild.workspace import Workspace

_MOST_SHAPES = 10_000


class TlsNeeded(RollbuildError):
    """A Kickstart that goes over TLS only was asked for over plain HTTP."""


class KickstartMaker:
    """Makes the Kickstarts of a front end's hosts.

    What was compiled is kept for a generation of the distribution and one of the configuration, so that the next
    request sees a change of either. May be called by many threads: the first one compiles, the others wait for it.
    """

    def __init__(self, front_end: FrontEnd) -> None:
        self._inputs = InputFinder(front_end)
        self._lock = threading.Lock()

    def render(self, host: str, *, token: str = "", is_secure: bool = True) -> bytes:
        """The Kickstart of a host, with `token` as its attribute install_token; `is_secure` is whether nobody can
        listen on the way to the host.

        Raises TlsNeeded where that has to be so, RollbuildError for a host that is not known or cannot be installed,
        FindingsError for findings of severity error.
        """
        asked = self._inputs.of_host(host)
        target = asked.target(token)
        if not is_secure and uses_tls(target.attributes):
            raise TlsNeeded(f"the Kickstart of {host} goes over TLS only ({TLS_ATTRIBUTE})")
        with self._lock:
            plan, findings = self._plan(asked, target)
        _refuse_errors((*findings, *self._misfits(asked)))
        late: list[Finding] = []
        text = plan.render(target.attributes, late)
        _refuse_errors(late)
        return text

    def attributes(self, host: str) -> Mapping[str, str]:
        """All attributes of a host, as its Kickstart has them (without a token). Raises RollbuildError."""
        return self._inputs.of_host(host).target("").attributes

    def explain(self, host: str) -> Profile:
        """The profile of a host with the origin of each line; secrets are replaced, so that it can be shown.

        Raises RollbuildError.
        """
        asked = self._inputs.of_host(host)
        target = asked.target("")
        secret = asked.current.workspace.secret_names()
        shown = {name: HIDDEN if is_hidden(name, value, secret) else value for name, value in target.attributes.items()}
        with self._lock:
            return asked.current.compiler().compile(replace(target, attributes=shown))

    def findings(self, host: str) -> tuple[Finding, ...]:
        """What checks find in a host's Kickstart, errors first. Raises RollbuildError."""
        asked = self._inputs.of_host(host)
        with self._lock:
            _, findings = self._plan(asked, asked.target("token"))
        return (*self._misfits(asked), *findings)

    def workspace(self, appliance: str) -> tuple[Generation, Workspace]:
        """What hosts of an appliance are compiled from, but for what is their own: the generation, and its
        description with the site's attributes. Raises RollbuildError."""
        generation, asked = self._inputs.of_appliance(appliance)
        return generation, asked.current.workspace

    def appliance_findings(self, appliance: str) -> tuple[Finding, ...]:
        """What checks find in the Kickstart of an appliance, without any host. Raises RollbuildError."""
        _, asked = self._inputs.of_appliance(appliance)
        with self._lock:
            return self._check(asked, asked.target("token"))

    def _plan(self, asked: Inputs, target: Target) -> tuple[Plan, tuple[Finding, ...]]:
        """The plan for a host, and what was found in the first Kickstart of its shape."""
        current = asked.current
        basis, compiler = current.basis, current.basis.workspace.compiler
        varying = current.varying.union(asked.own)
        key = (compiler.plan_key(target), varying, frozenset(varying & target.attributes.keys()))
        if key not in basis.plans:
            basis.plans[key] = compiler.plan(target, varying)
        plan = basis.plans[key]
        shape = (key, plan.awkward(target.attributes))
        if shape not in basis.checked:
            findings = self._find_errors(asked, target, shape)
            if any(finding.severity is Severity.ERROR for finding in findings):
                return plan, findings
            if len(basis.checked) >= _MOST_SHAPES:
                basis.checked.clear()
            basis.checked[shape] = findings
        return replace(plan, data=current.data), basis.checked[shape]

    def _find_errors(self, asked: Inputs, target: Target, shape: tuple[object, ...]) -> tuple[Finding, ...]:
        """What checks say of a host. Errors count for all hosts of its shape only when they are those of another too:
        one host's wrong value must not keep the others from being installed."""
        current, name = asked.current, asked.host.name
        known = current.errors.setdefault(shape, {})
        if name in known:
            return known[name]
        if len(known) > 1 and len(set(known.values())) == 1:
            return next(iter(known.values()))
        findings = self._check(asked, target)
        if any(finding.severity is Severity.ERROR for finding in findings):
            known[name] = findings
        return findings

    def _check(self, asked: Inputs, target: Target) -> tuple[Finding, ...]:
        from rollbuild.checks import apply_waivers, check_profile, read_waivers

        workspace = asked.current.workspace
        profile = asked.current.compiler().compile(target)
        findings = [*workspace.description.findings, *profile.findings]
        single = self._own_values(asked)
        for name, value in target.attributes.items():
            if name not in single:
                findings += workspace.value_findings(name, value, None)
        findings += check_profile(profile, workspace.release, secret_names=workspace.secret_names())
        waivers = [waiver for file in workspace.waiver_files() for waiver in read_waivers(file)]
        return tuple(apply_waivers(findings, waivers)[0]) if waivers else tuple(findings)

    def _misfits(self, asked: Inputs) -> list[Finding]:
        """Attributes of this host alone that do not fit: hosts of one shape may differ in them."""
        find = asked.current.workspace.value_findings
        return [finding for name, value in self._own_values(asked).items() for finding in find(name, value, None)]

    def _own_values(self, asked: Inputs) -> dict[str, str]:
        own = asked.current.workspace.attributes.layers.get(("host", asked.host.name), {})
        return {**{name: item.value for name, item in own.items()}, **asked.own}


def _refuse_errors(findings: Sequence[Finding]) -> None:
    if errors := [finding for finding in findings if finding.severity is Severity.ERROR]:
        raise FindingsError(errors)
