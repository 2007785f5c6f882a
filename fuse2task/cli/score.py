"""`fuse2task fusion score`: image-quality scores of folders of fused images."""

from pathlib import Path
from typing import Annotated, Any

import typer

from fuse2task.cli.options import DeviceOption, JsonOption, print_json, print_table
from fuse2task.runtime.errors import RequestError

SOURCES = "--ir, --visible, --fused and -o are needed together (or --explain SCORE alone)"


def score_command(
    ir: Annotated[Path | None, typer.Option(help="Folder of infrared images.")] = None,
    visible: Annotated[Path | None, typer.Option(help="Folder of visible images of the same names.")] = None,
    fused: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]DIR", help="Folder of fused images of the same names; repeat it."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="scores.csv", help="The table; scores.json lies beside it.")
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="standard (default), vifb, tang, cddfuse, ivif_zoo or liu.")
    ] = None,
    scores: Annotated[str | None, typer.Option(help="Some of its scores: EN,MI,VIF. Default: all.")] = None,
    explain: Annotated[
        str | None, typer.Option(metavar="SCORE", help="Print how a score is defined, and stop.")
    ] = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Image-quality scores by a named set of definitions: one row per image, means and standard errors printed."""
    if explain is not None:
        _explain(explain, profile, as_json)
        return
    if ir is None or visible is None or not fused or output is None:
        raise RequestError(SOURCES)
    from fuse2task.data.loading import load_dataset
    from fusion.quality.scorer import score_folders

    folders = _named(fused)
    pairs = load_dataset(ir.parent, "folder", infrared=ir, visible=visible).pairs
    names = [name.strip() for name in scores.split(",")] if scores else None
    summary = score_folders(pairs, folders, profile or "standard", output, names, device)
    if as_json:
        print_json(summary)
        return
    _show(summary)
    typer.echo(f"{output}: profile {summary['profile']}, {summary['images']} images, {len(folders)} methods")


def _named(references: list[str]) -> dict[str, Path]:
    folders: dict[str, Path] = {}
    for reference in references:
        label, is_named, folder = reference.partition("=")
        path = Path(folder if is_named else reference)
        name = label if is_named else path.resolve().name
        if not name or name in folders:
            raise RequestError(f"--fused {reference}: give each folder a name of its own, NAME=DIR")
        folders[name] = path
    return folders


def _explain(name: str, profile: str | None, as_json: bool) -> None:
    from fusion.quality.definitions import definition
    from fusion.quality.profiles import PROFILES, find_profile

    profiles = [find_profile(profile)] if profile else list(PROFILES.values())
    by_name = {each.lower(): each for found in PROFILES.values() for each in found.names}
    exact = by_name.get(name.lower())
    if exact is None:
        raise RequestError(f"no score {name!r}; there are {', '.join(dict.fromkeys(by_name.values()))}")
    defined = {found.name: definition(found, found.chosen([exact])[0]) for found in profiles if exact in found.names}
    if as_json:
        print_json({exact: defined})
        return
    for found in profiles:
        if exact not in found.names:
            typer.echo(f"{exact}: not defined in profile {found.name}")
            continue
        style = {"title": f"{exact} in profile {found.name}", "title_justify": "left", "min_width": 60}
        print_table((), defined[found.name].items(), show_header=False, **style)


def _show(summary: dict[str, Any]) -> None:
    methods, rows = summary["methods"], []
    for name, definition in summary["definitions"].items():
        arrow = "↑" if definition["better"] == "higher" else "↓"
        rows.append((f"{name} {arrow}", *(_cell(methods[method][name]) for method in methods)))
    title = f"profile {summary['profile']}: mean ± standard error over {summary['images']} images"
    print_table(("score", *methods), rows, title=title)


def _cell(value: dict[str, Any]) -> str:
    if value["mean"] is None:
        return "not defined"
    error = "" if value["standard_error"] is None else f" ± {value['standard_error']:.2g}"
    missing = f" ({value['undefined']} not defined)" if value["undefined"] else ""
    return f"{value['mean']:.4g}{error}{missing}"
