"""The page on an address, until the program is stopped."""

import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from time import sleep
from typing import Any

import gradio as gr  # pyright: ignore[reportMissingImports] (an extra)
from starlette.middleware import Middleware  # pyright: ignore[reportMissingImports] (an extra)
from starlette.routing import BaseRoute  # pyright: ignore[reportMissingImports] (an extra)

from vasal_jax.commands.predict_args import PredictArgs
from vasal_jax.commands.predict_job import prepare_process
from vasal_jax.errors import InputError
from vasal_jax.system import stopping
from vasal_jax.system.terminal import say
from vasal_jax.web.actions import Actions
from vasal_jax.web.guard import Guard
from vasal_jax.web.limits import Limits
from vasal_jax.web.live import Live
from vasal_jax.web.models import Models
from vasal_jax.web.page import build, launch_options
from vasal_jax.web.rooms import Rooms

LOOPBACK = ("127.0.0.1", "localhost")
_PAUSE = 0.2  # seconds between looks whether to stop


def serve(rooms: Rooms, host: str, port: int, weights: Sequence[Path], limits: Limits, password: str | None) -> int:
    """Serves the page until a request to stop. Raises `InputError` where the address cannot be had."""
    prepare_process(PredictArgs())
    models, example = Models(weights), rooms.draw_example()
    # Browsers give a camera to pages of this machine and to encrypted ones alone; no password guards its socket.
    live = host in LOOPBACK and password is None
    page = build(models, limits, Actions(models, limits, rooms, example), live)
    routes = [Live(models).route()] if live else []
    address = _launch(page, rooms, host, port, limits, password, routes)
    say(f"the page is at {address} until Ctrl-C")
    threading.Thread(target=models.warm_up, args=(example.video, example.tracks), daemon=True).start()
    while True:
        stopping.check()
        sleep(_PAUSE)


def _launch(
    page: gr.Blocks,
    rooms: Rooms,
    host: str,
    port: int,
    limits: Limits,
    password: str | None,
    routes: Sequence[BaseRoute],
) -> str:
    guard = Middleware(Guard, files=rooms.files, loopback=host in LOOPBACK)
    options: dict[str, Any] = {
        "auth": password and ("vasal", password),
        "max_file_size": limits.megabytes * 10**6,
        "allowed_paths": [],
        "app_kwargs": {"middleware": [guard], "routes": routes},
        "ssr_mode": False,
        "share": False,
        "pwa": False,
        "run_history": False,
        "mcp_server": False,
        "enable_monitoring": False,
        "quiet": True,
        "prevent_thread_lock": True,
    }
    try:
        with socket.create_server((host, port)) as free:  # Gradio's own errors say less
            port = free.getsockname()[1]
        _, address, _ = page.launch(server_name=host, server_port=port, **options, **launch_options())
    except OSError as error:
        raise InputError(f"{host}:{port}: cannot be listened on ({error}); choose another --port") from None
    return address
