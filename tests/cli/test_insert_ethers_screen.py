"""The screen of `insert-ethers` without a terminal: keys in, what it shows out."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rollbuild.frontend.discovery import (
    Asked,
    Chosen,
    Event,
    Inserted,
    Membership,
    Rules,
    State,
    step,
    view,
)

pytest.importorskip("textual")

from textual.pilot import Pilot
from textual.widgets import Input

from rollbuild.commands.insert_ethers._screen import InsertEthers

PXE = "PXEClient:Arch:00007:UNDI:003016"
MENU = tuple(
    Membership(name, name.lower().replace(" ", "-"), name != "Ethernet Switch")
    for name in ("Compute", "Ethernet Switch", "Login", "NAS Appliance", "Power Distribution Unit", "VM Container")
)


def mac(number: int) -> str:
    return f"52:54:00:aa:10:{number:02x}"


class Screen:
    """The app over a state machine without a database."""

    def __init__(self, **rules: Any) -> None:
        self.state = State(Rules(version="1.2.3", network="10.1.0.0/255.255.0.0", **rules), MENU)
        self.done: list[Any] = []
        self.app = InsertEthers(self.put, lambda app: app.show(view(self.state)))

    def put(self, event: Event) -> None:
        self.state, actions = step(self.state, event)
        self.done += actions
        self.app.show(view(self.state))

    def text(self) -> list[str]:
        """The lines that a terminal would show."""
        compositor = self.app.screen._compositor
        return ["".join(part.text for part in strip) for strip in compositor.render_strips()]


def play(
    scene: Callable[[Screen, Pilot[None]], Awaitable[None]], size: tuple[int, int] = (80, 24), **rules: Any
) -> None:
    screen = Screen(**rules)

    async def run() -> None:
        async with screen.app.run_test(size=size) as pilot:
            await pilot.pause()
            await scene(screen, pilot)

    asyncio.run(run())


@pytest.mark.parametrize("size", [(80, 24), (60, 16), (200, 60)])
def test_the_menu(size: tuple[int, int]) -> None:
    async def scene(screen: Screen, pilot: Pilot[None]) -> None:
        lines = screen.text()
        assert [line.strip() for line in lines[:2]] == [
            "insert-ethers -- version 1.2.3",
            "Opened kickstart access to 10.1.0.0/255.255.0.0 network",
        ]
        text = "\n".join(lines)
        for wanted in ("Choose Appliance Type", "Select An Appliance Type:", "[ OK ]", *(item.name for item in MENU)):
            assert wanted in text, text
        assert lines[-1].strip() == "Press <F8> to quit, press <F9> to force quit"
        await pilot.press("down", "down", "down", "down", "down", "down", "enter")
        await pilot.pause()
        assert screen.state.membership == MENU[-1]
        assert "Inserted Appliances" in "\n".join(screen.text())

    play(scene, size)


def test_machines_as_they_appear() -> None:
    async def scene(screen: Screen, pilot: Pilot[None]) -> None:
        screen.put(Chosen("VM Container"))
        for number in (0, 1):
            screen.put(Asked(mac(number), PXE))
            screen.put(Inserted(mac(number), f"vm-container-0-{number}", "10.1.255.254"))
        await pilot.pause()
        lines = screen.text()
        shown = [line.strip("│ ").rstrip() for line in lines if "vm-container" in line]
        assert shown[:2] == [f"{mac(1)}   vm-container-0-1   ( )", f"{mac(0)}   vm-container-0-0   ( )"]
        assert any("Discovered a new appliance with MAC (52:54:00:aa:10:01)" in line for line in lines)
        await pilot.press("f8")
        await pilot.pause()
        assert "Not kickstarted, please wait..." in "\n".join(screen.text())
        await pilot.press("f7")
        assert "RemoveHost(host='vm-container-0-1')" in map(str, screen.done)

    play(scene)


@pytest.mark.parametrize("key", ["f9", "ctrl+c", "ctrl+q"])
def test_leaving_at_once(key: str) -> None:
    async def scene(screen: Screen, pilot: Pilot[None]) -> None:
        screen.put(Chosen("Compute"))
        await pilot.pause()
        await pilot.press(key)
        assert screen.state.is_leaving
        screen.app.end()
        await pilot.pause()
        assert not screen.app.is_running or screen.app._exit

    play(scene)


def test_a_thousand_machines_fit() -> None:
    async def scene(screen: Screen, pilot: Pilot[None]) -> None:
        screen.put(Chosen("Compute"))
        for number in range(1000):
            name = f"52:54:00:bb:{number >> 8:02x}:{number & 255:02x}"
            screen.state, _ = step(screen.state, Asked(name, PXE))
            screen.state, _ = step(screen.state, Inserted(name, f"compute-0-{number}", ""))
        screen.app.show(view(screen.state))
        await pilot.pause()
        text = "\n".join(screen.text())
        assert "compute-0-999 " in text and "compute-0-0 " not in text
        await pilot.resize_terminal(100, 40)
        await pilot.pause()
        assert "compute-0-980 " in "\n".join(screen.text())

    play(scene)


def test_what_machines_say_of_themselves_is_no_markup() -> None:
    async def scene(screen: Screen, pilot: Pilot[None]) -> None:
        screen.put(Chosen("Compute"))
        screen.put(Asked(mac(0), PXE))
        screen.put(Inserted(mac(0), "compute-0-0", "[bold]x[/bold]"))
        await pilot.pause()
        assert "[bold]x[/bold]" in "\n".join(screen.text())

    play(scene)


def test_the_address_of_a_machine() -> None:
    async def scene(screen: Screen, pilot: Pilot[None]) -> None:
        screen.put(Chosen("Compute"))
        screen.put(Asked(mac(0), PXE))
        await pilot.pause()
        text = "\n".join(screen.text())
        assert "IP Address Selection" in text and f"Address of {mac(0)}:" in text
        assert isinstance(screen.app.focused, Input)
        await pilot.press(*"10.1.2.3", "enter")
        await pilot.pause()
        assert "AddHost" in str(screen.done) and "address='10.1.2.3'" in str(screen.done)
        screen.put(Inserted(mac(0), "compute-0-0", "10.1.2.3"))
        await pilot.pause()
        assert "IP Address Selection" not in "\n".join(screen.text())
        await pilot.press("f9")
        assert screen.state.is_leaving

    play(scene, asks_address=True)
