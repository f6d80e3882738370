"""``hannah-hw worker``: one machine of many that evaluate candidates."""

from __future__ import annotations

from typing import Annotated

import typer

from hannah_hw.cli.output import JsonOption, emit, say


def worker(
    address: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="The scheduler: tcp://HOST:PORT or tls://HOST:PORT.")
    ],
    processes: Annotated[
        int, typer.Option("--processes", "-n", min=1, max=1024, help="Candidates evaluated at a time.")
    ] = 1,
    as_json: JsonOption = False,
) -> None:
    """Evaluate candidates for the searches of a scheduler, until it is gone or Ctrl-C.

    On one machine: `dask scheduler --port 8786`. On every machine, also that one if you like: this verb. Then a
    search with `--workers tcp://HOST:8786`. Nothing is shared but the network: trained models go back to the search as
    bytes. The same versions of hannah-hw, numpy, torch, onnx and onnxruntime must be installed everywhere, and data
    or spaces that the search names by path must lie there too.

    Whoever reaches the scheduler can run code on all of these machines: keep to your own network, or use tls://
    with dask's own settings for certificates.

    - `hannah-hw worker tcp://192.168.0.10:8786 --processes 8`
    - `hannah-hw search my.yaml --workers tcp://192.168.0.10:8786`
    """
    from hannah_hw.search.distributed import check_address, serve

    check_address(address)
    say(f"working for {address}, {processes} candidates at a time; Ctrl-C ends it")
    serve(address, processes)
    emit({"scheduler": address, "processes": processes}, as_json, lambda: say("the scheduler is gone"))
