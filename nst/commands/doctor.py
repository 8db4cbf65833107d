"""``nst doctor``: what is installed here, what of it works, what to do about the rest."""

from __future__ import annotations

from typing import Annotated

import typer

from nst.terminal import result, result_json

app = typer.Typer(add_completion=False)


@app.command()
def doctor(
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Check packages, ONNX Runtime's providers, torch's devices, VGG-19 weights and the computer.

    Nothing is taken on trust: every provider runs a small model. Exit code 1 when something needs
    to be repaired; a package of an extra that is not installed does not.
    """
    from nst.commands.examination import examine

    sections = examine()
    facts = [(title, fact) for title, section in sections.items() for fact in section]
    problems = [(title, fact) for title, fact in facts if fact.remedy]
    if json:
        result_json(
            {
                "healthy": not problems,
                "facts": {t: {f.name: f.value for f in facts} for t, facts in sections.items()},
                "problems": [
                    {"section": t, "name": f.name, "found": f.value, "remedy": f.remedy}
                    for t, f in problems
                ],
            }
        )
    else:
        width = max(len(fact.name) for _, fact in facts)
        for title, section in sections.items():
            result(title)
            for fact in section:
                mark = "!" if fact.remedy else " "
                result(f" {mark} {fact.name:{width}}  {fact.value}")
        result("")
        result(f"{len(problems)} to repair" if problems else "nothing to repair")
        for title, fact in problems:
            result(f" ! {title}, {fact.name}: {fact.value}")
            result(f"   {fact.remedy}")
    if problems:
        raise typer.Exit(1)
