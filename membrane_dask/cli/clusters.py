"""Commands that list, show and test cluster profiles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from membrane_dask.cli.completion import complete_profile
from membrane_dask.cli.exit_codes import CLUSTER, exit_with
from membrane_dask.cli.options import CommandGroup, Overrides, print_table
from membrane_dask.engine.terminal import say, show

clusters_app = typer.Typer(
    help="List cluster profiles, show their job scripts, try one out.", rich_markup_mode=None, cls=CommandGroup
)
ProfileName = Annotated[
    str,
    typer.Argument(metavar="P", help="A profile of `membrane-dask clusters`.", autocompletion=complete_profile),
]


@clusters_app.callback(invoke_without_command=True)
def clusters(context: typer.Context) -> None:
    """List cluster profiles, show their job scripts, try one out."""
    if context.invoked_subcommand is None:
        from membrane_dask import api
        from membrane_dask.engine.cluster.overview import cluster_rows

        print_table(("profile", "here", "size", "walltime", "description"), cluster_rows())
        say(f"your profiles: {api.user_file()}; keys of a profile: membrane-dask new graded --full")


@clusters_app.command("show")
def clusters_show(profile: ProfileName, overrides: Overrides = None) -> None:
    """Print the job scripts that a profile leads to."""
    from membrane_dask.engine.cluster.overview import cluster, job_scripts

    for name, script in job_scripts(cluster(profile, overrides or ())).items():
        show(f"# ---- job of the {name} ----\n{script}")


@clusters_app.command("test")
def clusters_test(
    profile: ProfileName,
    overrides: Overrides = None,
    out: Annotated[Path, typer.Option(help="Where runs will lie; the nodes must see it too.")] = Path("runs"),
) -> None:
    """Submit one job, wait for its worker, import the package and write a file there."""
    from membrane_dask import api
    from membrane_dask.engine.cluster.overview import cluster

    try:
        api.probe_cluster(cluster(profile, overrides or ()), out, say)
    except api.ClusterError as error:
        say(str(error))
        exit_with(CLUSTER)
    say(f"{profile}: all steps passed")
