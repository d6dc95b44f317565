"""Print the help of a command: usage, description, panels of parameters, and examples.

Each parameter has one row: its names and its value, then the description with its range and default in brackets.

print_help(command, ctx)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console, RenderableType
    from rich.text import Text

_OPTIONS = "Options"
_GAP, _EDGES = 2, 4
"""Columns between the names and the descriptions, and columns of the border of a panel."""
_MOST_KEPT = 36
"""Maximum length of a range or default that is not divided between two lines."""
_BLANK = "\ue000"
"""Stands for a space at which a line does not end; Rich divides lines at all characters that Unicode calls spaces."""
_INDENT, _CONTINUES = "  ", " \\"


def print_help(command: Any, ctx: Any) -> None:
    """Print the help of a command or of a group of commands, in the width of the terminal."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False)
    console.print()
    pieces = " ".join(command.collect_usage_pieces(ctx))
    usage = Text.assemble(("Usage: ", "bold yellow"), (f"{ctx.command_path} {pieces}", "bold"))
    console.print(Padding(usage, (0, 0, 0, 1), expand=False))
    for paragraph in (command.help or "").split("\n\n"):
        console.print()
        console.print(Padding(Text(" ".join(paragraph.split())), (0, 1), expand=False))
    console.print()
    parameters = [one for one in command.get_params(ctx) if not getattr(one, "hidden", False)]
    arguments = [one for one in parameters if one.param_type_name == "argument"]
    _print_panel(console, "Arguments", [(_argument_name(one), _description(one)) for one in arguments])
    for title, options in _panels(one for one in parameters if one.param_type_name == "option"):
        _print_panel(console, title, [(_option_name(one), _description(one)) for one in options])
    commands = [(name, command.get_command(ctx, name)) for name in getattr(command, "commands", {})]
    summaries = [(Text(name, "bold cyan"), Text(_summary(one))) for name, one in commands]
    _print_panel(console, "Commands", summaries)
    _print_examples(console, command.epilog)


def _panels(options: Iterable[Any]) -> list[tuple[str, list[Any]]]:
    """Return the options by panel; those without a panel come first, but `--help` alone comes last."""
    panels: dict[str, list[Any]] = {_OPTIONS: []}
    for option in options:
        panels.setdefault(getattr(option, "rich_help_panel", None) or _OPTIONS, []).append(option)
    if len(panels[_OPTIONS]) == 1:
        panels[_OPTIONS] = panels.pop(_OPTIONS)
    return list(panels.items())


def _print_panel(console: Console, title: str, rows: Sequence[tuple[Text, Text]]) -> None:
    from rich.panel import Panel
    from rich.table import Table

    if not rows:
        return
    names = max(name.cell_len for name, _ in rows)
    table = Table.grid(padding=(0, _GAP, 0, 0))
    table.add_column(no_wrap=True, min_width=names)
    for name, description in rows:
        table.add_row(name, _wrapped(console, description, console.width - names - _GAP - _EDGES))
    console.print(Panel(table, title=title, title_align="left", border_style="dim"))


def _wrapped(console: Console, description: Text, width: int) -> RenderableType:
    """Return a description in lines of a width, without the placeholders for spaces."""
    from rich.text import Text

    lines = description.wrap(console, max(width, 20))
    for line in lines:
        line.plain = line.plain.replace(_BLANK, " ")
    return Text("\n").join(lines)


def _argument_name(argument: Any) -> Text:
    from rich.text import Text

    return Text(_name(argument), "bold yellow")


def _option_name(option: Any) -> Text:
    from rich.text import Text

    names = ", ".join(sorted(option.opts, key=len)) + "".join(
        f"/{name}" for name in option.secondary_opts[:1]
    )
    value = "" if option.is_flag else f" {_name(option)}"
    return Text.assemble((names, "bold cyan"), (value, "bold yellow"))


def _name(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())


def _description(parameter: Any) -> Text:
    """Return the description of a parameter, with its range and default."""
    from rich.text import Text

    notes = []
    low, high = getattr(parameter, "min", None), getattr(parameter, "max", None)
    if low is not None or high is not None:
        notes.append(range_text(low, high))
    if (default := default_text(parameter)) is not None:
        notes.append(f"[default: {default}]")
    elif parameter.required and parameter.param_type_name == "option":
        notes.append("[required]")
    kept = [note.replace(" ", _BLANK) if len(note) <= _MOST_KEPT else note for note in notes]
    text = " ".join((parameter.help or "").split())
    return Text.assemble(text, *((f" {note}", "dim") for note in kept))


def _summary(command: Any) -> str:
    return (command.help or "").partition("\n\n")[0]


def default_text(parameter: Any) -> str | None:
    """Return the default of a parameter for the help; `None` if it has none, or is a switch that is off.

    A default that is not a value, such as the class names of the data, is the `show_default` of the parameter.
    """
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    default = parameter.default
    if getattr(parameter, "secondary_opts", ()):
        return "on" if default else "off"
    if not parameter.show_default or default is None or isinstance(default, bool):
        return None
    size = f" ({_binary(default)})" if parameter.metavar == "BYTES" else ""
    return f"{default:g}" if isinstance(default, float) else f"{default}{size}"


def _binary(count: int) -> str:
    """Format a number of bytes in binary units.

    >>> _binary(20 * 1024**2)
    '20 MiB'
    """
    power = min(3, max(0, count.bit_length() - 1) // 10)
    return f"{count / 1024**power:g} {('bytes', 'KiB', 'MiB', 'GiB')[power]}"


def range_text(least: float | None, most: float | None) -> str:
    """Format the range of a number in brackets, like a default.

    >>> range_text(1, None), range_text(0, 1)
    ('[1 or more]', '[0 to 1]')
    """
    if most is None:
        return f"[{least:g} or more]"
    return f"[{most:g} or less]" if least is None else f"[{least:g} to {most:g}]"


def _print_examples(console: Console, epilog: str | None) -> None:
    """Print the examples; a command that is too long for a line continues on the next one after a backslash."""
    from rich.text import Text

    if not epilog:
        return
    title, *commands = epilog.splitlines()
    console.print(Text(f"\n {title}", style="bold"))
    for command in commands:
        for line in _continued(command, console.width - len(f" {_INDENT}")):
            console.print(Text(f" {_INDENT}{line}"), soft_wrap=True)


def _continued(command: str, width: int) -> list[str]:
    r"""Return the lines of a command, each but the last with a backslash at its end.

    >>> _continued("mien predict photo.jpg --json", 24)
    ['mien predict photo.jpg \\', '  --json']
    """
    if len(command) <= width:
        return [command]
    first, *words = command.split(" ")
    lines = [first]
    for word in words:
        if len(f"{lines[-1]} {word}{_CONTINUES}") <= width:
            lines[-1] += f" {word}"
        else:
            lines[-1] += _CONTINUES
            lines.append(f"{_INDENT}{word}")
    return lines
