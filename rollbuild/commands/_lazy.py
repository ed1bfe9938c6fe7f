"""Groups of commands that import only what is used."""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class LazyGroup(click.Group):
    """A group that imports a verb's module when that verb is used.

    `verbs`: verb -> (module with its `command`, what the help says). Help and completion import none of them.
    """

    def __init__(self, *args: Any, verbs: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.verbs = verbs

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.verbs:
            return None
        module, short_help = self.verbs[cmd_name]
        command: click.Command = import_module(module).command
        command.short_help = short_help
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.verbs and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], self.verbs, n=1)
            meant = f"; did you mean `{near[0]}`?" if near else ""
            ctx.fail(f"there is no command `{args[0]}`{meant}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(verb, short_help) for verb, (_, short_help) in self.verbs.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        items = [
            CompletionItem(verb, help=short_help)
            for verb, (_, short_help) in self.verbs.items()
            if verb.startswith(incomplete)
        ]
        # The group's own would import every verb for its help text; a command's completes the options.
        return items + click.Command.shell_complete(self, ctx, incomplete)
