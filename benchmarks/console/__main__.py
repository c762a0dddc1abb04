"""``python -m benchmarks.console``: is every page of the console as fast with a million events as with ten thousand?

Fills two databases of its own, visits every page of both, and prints a table. Ends with 1 if a page is too slow.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.orders import SECRET
from benchmarks.processes import raise_on_signals
from benchmarks.stripe_orders import SECRET as STRIPE_SECRET
from licensing_integration.sandbox.cryptlex import CryptlexSandbox

SIZES = (10_000, 1_000_000)
QUICK_SIZES = (10_000, 50_000)
TOKEN = "benchmark-token"


def main() -> int:
    options = _parse()
    raise_on_signals()
    try:
        with ExitStack() as cleanup:
            folder = options.keep or _temporary(cleanup)
            sandbox = cleanup.enter_context(CryptlexSandbox(access_token=TOKEN, accept_any_product=True))
            return _run(options, folder, license_server=sandbox.base_url)
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace, folder: Path, *, license_server: str) -> int:
    os.environ |= _environment(license_server)
    import django

    django.setup()  # the modules below want complete settings
    from benchmarks.console import table
    from benchmarks.console.generate import Size
    from benchmarks.console.measure import measure
    from benchmarks.console.sites import site

    with ExitStack() as opened:
        small, big = (
            opened.enter_context(site(Size(events), folder=folder / str(events), tell=_tell))
            for events in (QUICK_SIZES if options.quick else SIZES)
        )
        outcome = measure(small, big, runs=options.runs, only=options.only, tell=_tell)
        text = table.written(outcome, small=small, big=big, runs=options.runs)
        print(f"\n{text}")
        if options.explain:
            print("\n\n".join(table.explained(result, big) for result in outcome.wrong))
    if options.docs:
        table.write_docs(options.docs, text)
    return 1 if outcome.wrong or outcome.broken else 0


def _environment(license_server: str) -> dict[str, str]:
    """The configuration of the console; nothing of the caller's own. The databases come later."""
    return {
        "ENV_FILE": "",
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "SECRET_KEY": "only-for-benchmarks-" + "x" * 50,
        "DATABASE_URL": "postgresql:///none",
        "LOG_FORMAT": "text",
        "LOG_LEVEL": "ERROR",
        "STORES": "fastspring,stripe",
        "FASTSPRING_WEBHOOK_SECRET": SECRET,
        "FASTSPRING_TEST_EVENTS": "apply",
        "STRIPE_WEBHOOK_SECRET": STRIPE_SECRET,
        "LICENSE_SERVERS": "cryptlex",
        "CRYPTLEX_ACCESS_TOKEN": TOKEN,
        "CRYPTLEX_WEB_API_BASE_URL": license_server,
        "CRYPTLEX_REQUEST_LIMIT": "0",
    }


def _temporary(cleanup: ExitStack) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="licensing-benchmarks-"))
    cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)  # as root the database runs as another user, who has to pass through
    return folder


def _tell(sentence: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {sentence}", file=sys.stderr, flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.console", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_SIZES[1]:,} events are the large database")
    parser.add_argument("--runs", type=int, default=15, help="visits of each page, of which the median counts")
    parser.add_argument("--only", default="", metavar="TEXT", help="the pages whose line in the table begins so")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the databases there, or find them there")
    parser.add_argument("--explain", action="store_true", help="the plan of the slowest statement of a slow page")
    parser.add_argument("--docs", type=Path, metavar="FILE", help="replace the console's table in this page")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
