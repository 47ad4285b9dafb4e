"""`pillarbox completion`: the script by which a shell completes the command line."""

from __future__ import annotations

import click

from appliance.run.cli.session import Command, Session, pass_session


@click.command("completion", cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@pass_session
def command(session: Session, *, shell: str) -> None:
    r"""Print the completion script for a shell.

    \b
    bash: eval "$(pillarbox completion bash)"      in ~/.bashrc
    zsh:  eval "$(pillarbox completion zsh)"       in ~/.zshrc
    fish: pillarbox completion fish > ~/.config/fish/completions/pillarbox.fish
    """
    from click.shell_completion import get_completion_class

    from appliance.run.cli import root

    complete = get_completion_class(shell)
    assert complete is not None, "click knows these three"
    script = complete(root, {}, "pillarbox", "_PILLARBOX_COMPLETE").source()
    if session.out.as_json:
        session.out.show({"shell": shell, "script": script}, ())
    else:
        click.echo(script)
