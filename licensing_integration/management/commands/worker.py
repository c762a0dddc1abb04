"""``manage.py worker``: takes jobs from the queue until it is told to stop, and outlives restarts of the database."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from argparse import ArgumentParser
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import uvloop
from asgiref.sync import sync_to_async
from django.core.management.base import BaseCommand, CommandError
from django.db import close_old_connections
from procrastinate import App
from procrastinate.contrib.django import app
from procrastinate.contrib.django.utils import connector_params
from procrastinate.exceptions import ConnectorException
from procrastinate.psycopg_connector import PsycopgConnector

logger = logging.getLogger(__name__)

DATABASE_ERRORS = (ConnectorException, psycopg.Error, OSError)
LONGEST_PAUSE = 2.0  # seconds between two attempts to reach the database: short, it is one connection
POOL_TIMEOUT = 5.0  # seconds the queue's own connections may be away before we start over
STOP_TIMEOUT = 60.0  # seconds for jobs in flight; a call to a license server takes at most half of that


class Command(BaseCommand):
    help = "Work on received events until SIGTERM or Ctrl-C; jobs in flight are finished first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--concurrency", type=int, default=16, help="jobs at the same time, a thread each (default: %(default)s)"
        )

    def handle(self, *args: object, **options: Any) -> None:
        concurrency = options["concurrency"]
        if concurrency < 1:
            raise CommandError("--concurrency must be at least 1.")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(work(concurrency=concurrency))


async def work(*, concurrency: int) -> None:
    """Work until SIGTERM or SIGINT. A second signal ends the process without waiting for jobs in flight."""
    loop = asyncio.get_running_loop()
    # Jobs run in the loop's default threads, and there would be only a few of them whatever ``concurrency`` says.
    loop.set_default_executor(ThreadPoolExecutor(max_workers=concurrency, thread_name_prefix="job"))
    is_stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, loop, is_stopping)
    logger.info("Worker started, up to %s jobs at the same time.", concurrency)
    while not is_stopping.is_set():
        await _until(is_stopping, _work_while_database_answers(concurrency=concurrency))
    logger.info("Worker stopped.")


def _on_signal(loop: asyncio.AbstractEventLoop, is_stopping: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)
    is_stopping.set()


async def _until(is_stopping: asyncio.Event, work: Any) -> None:
    """Run ``work`` to its end, or cancel it when we are stopping and let it finish what it has begun."""
    working = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(is_stopping.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if is_stopping.is_set():
        working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working


async def _work_while_database_answers(*, concurrency: int) -> None:
    """procrastinate's worker ends when the database goes away: silently, or with whatever error came first."""
    await _wait_for_database()
    await sync_to_async(close_old_connections)()  # periodic jobs are deferred on Django's connection
    connector = PsycopgConnector(kwargs=connector_params(), timeout=POOL_TIMEOUT)
    try:
        async with app_over(connector).open_async() as worker_app:
            await worker_app.run_worker_async(
                concurrency=concurrency,
                fetch_job_polling_interval=1.0,
                abort_job_polling_interval=60.0,  # nobody aborts our jobs, and looking costs a scan of the running ones
                delete_jobs="always",
                shutdown_graceful_timeout=STOP_TIMEOUT,
                install_signal_handlers=False,
            )
    except DATABASE_ERRORS as error:
        logger.warning("Lost the database: %s", error.__cause__ or error)


def app_over(connector: PsycopgConnector) -> App:
    """Our tasks, over the worker's own connections.

    ``app`` itself keeps Django's connection, or jobs that a job enqueues would no longer join its transaction.
    """
    worker_app = App(connector=connector, worker_defaults=app.worker_defaults)
    worker_app.tasks = app.tasks
    worker_app.periodic_registry = app.periodic_registry
    return worker_app


async def _wait_for_database() -> None:
    pause = 0.1
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(**connector_params()):
                return
        except psycopg.Error as error:
            logger.warning("The database does not answer, trying again: %s", error)
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
