"""The screen: the menu, the machines as they appear, and what has to be said."""

from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.widgets import Input, Static

from rollbuild.frontend import discovery

SMALLEST = (60, 16)
"""Columns and rows below which lines are easier to read."""

_ALWAYS = ("f7", "f8", "f9")
_MENU = ("up", "down", "home", "end", "enter")
_STYLES = {"*": "bold green", " ": "yellow", "": ""}
_BAD = ("refused", "not-applied", "no-kickstart", "trouble", "ignored", "denied", "waiting")


class Shown(Message):
    """A new view, from the thread that works."""

    def __init__(self, view: discovery.View) -> None:
        super().__init__()
        self.view = view


class Ended(Message):
    """The work is done."""


class InsertEthers(App[None]):
    """Shows views and hands keys and answers to `put`. It does nothing else."""

    TITLE = "insert-ethers"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { layout: vertical; layers: base box; }
    #heading { height: 2; padding: 0 1; }
    #menu { border: solid $primary; width: 51; height: auto; max-height: 1fr; margin: 1 0 0 0; padding: 0 2; }
    #menu-place { align: center top; height: 1fr; }
    #entries { border: solid $primary; height: 1fr; padding: 0 1; }
    #list { width: auto; }
    #messages { border: solid $secondary; height: 7; padding: 0 1; }
    #footer { height: 1; padding: 0 1; }
    #box { layer: box; width: 56; max-width: 90%; height: auto; border: heavy $accent; background: $surface;
           padding: 0 1; offset: 11 9; }
    #question { layer: box; width: 56; max-width: 90%; height: auto; border: heavy $accent; background: $surface;
                padding: 0 1; offset: 11 8; }
    .hidden { display: none; }
    """
    # The keys of the framework that would end it without a word leave as F9 does.
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(key, f"press('{key}')", show=False, priority=True) for key in _ALWAYS),
        *(Binding(key, "press('f9')", show=False, priority=True) for key in ("ctrl+c", "ctrl+q")),
        *(Binding(key, f"press('{key}')", show=False) for key in _MENU),
    ]

    def __init__(self, put: Callable[[discovery.Event], None], start: Callable[["InsertEthers"], None]) -> None:
        """`start` is called when the screen is there and takes views."""
        super().__init__()
        self._put = put
        self._start = start
        self._view: discovery.View | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="heading", markup=False)
        with Vertical(id="menu-place", classes="hidden"):
            menu = Static(id="menu", markup=False)
            menu.border_title = "Choose Appliance Type"
            yield menu
        entries = VerticalScroll(Static(id="list", markup=False), id="entries")
        entries.border_title = "Inserted Appliances"
        yield entries
        messages = VerticalScroll(Static(id="said", markup=False), id="messages")
        messages.border_title = "Messages"
        yield messages
        yield Static(id="footer", markup=False)
        yield Static(id="box", classes="hidden", markup=False)
        question = Vertical(
            Static(id="asked", markup=False), Input(id="address", placeholder="the next free one"), id="question"
        )
        question.border_title = "IP Address Selection"
        question.add_class("hidden")
        yield question

    def on_mount(self) -> None:
        self._start(self)

    def show(self, view: discovery.View, _: tuple[discovery.News, ...] = ()) -> None:
        """Show a view; called by any thread."""
        self.post_message(Shown(view))

    def end(self) -> None:
        """Leave the screen; called by any thread."""
        self.post_message(Ended())

    def on_ended(self) -> None:
        self.exit()

    def action_press(self, key: str) -> None:
        self._put(discovery.Key(key))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        question = self._view.question if self._view else None
        if question is not None:
            self._put(discovery.Answer(question.mac, event.value.strip()))
            event.input.value = ""

    def on_shown(self, message: Shown) -> None:
        view, before = message.view, self._view
        self._view = view
        self.query_one("#heading", Static).update("\n".join(view.heading))
        self._show_menu(view)
        if before is None or before.entries != view.entries:
            self.query_one("#list", Static).update(_entries(view))
        if before is None or before.messages != view.messages:
            self.query_one("#said", Static).update(_messages(view))
            self.query_one("#messages", VerticalScroll).scroll_end(animate=False)
        self._show_box(view)
        if before is None or before.question != view.question:
            self._ask(view)
        self.query_one("#footer", Static).update(_footer(view))

    def _show_menu(self, view: discovery.View) -> None:
        self.query_one("#menu-place").set_class(not view.menu, "hidden")
        for name in ("#entries", "#messages"):
            self.query_one(name).set_class(bool(view.menu), "hidden")
        text = Text("Select An Appliance Type:\n")
        for number, name in enumerate(view.menu):
            text.append(f"   {name:<40}\n", style="reverse" if number == view.cursor else "")
        text.append(f"{'[ OK ]':^43}")
        self.query_one("#menu", Static).update(text)
        title = f"Inserted Appliances: {view.membership}" if view.membership else "Inserted Appliances"
        self.query_one("#entries").border_title = title

    def _show_box(self, view: discovery.View) -> None:
        box = self.query_one("#box", Static)
        box.set_class(view.box is None or view.question is not None, "hidden")
        if view.box is not None:
            box.border_title = view.box.title
            box.update(view.box.text)

    def _ask(self, view: discovery.View) -> None:
        self.query_one("#question").set_class(view.question is None, "hidden")
        if view.question is None:
            self.set_focus(None)
            return
        text = Text(f"Address of {view.question.mac}:")
        if view.question.error:
            text.append(f"\n{view.question.error}", style="bold red")
        self.query_one("#asked", Static).update(text)
        self.query_one("#address", Input).focus()


def _entries(view: discovery.View) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    for entry in view.entries:
        style = "dim" if entry.is_known else _STYLES.get(entry.mark, "bold red")
        text.append(f"{entry.text}\n", style=style)
    return text


def _messages(view: discovery.View) -> Text:
    text = Text()
    for message in view.messages:
        text.append(f"{message.text}\n", style="yellow" if message.kind in _BAD else "")
    text.rstrip()
    return text


def _footer(view: discovery.View) -> str:
    more = "" if view.menu else ", <F7> to undo"
    return view.footer + more + ("   applying ..." if view.is_applying else "")
