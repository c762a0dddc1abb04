"""The tasks workers run: each one line of work and no decisions."""

from __future__ import annotations

from procrastinate import JobContext
from procrastinate.contrib.django import app

from licensing_integration import jobs
from licensing_integration.services import pipeline
from licensing_integration.services.apply import apply_links
from licensing_integration.services.catch_up import catch_up_stores
from licensing_integration.services.sweep import sweep


@app.task(name=jobs.PROCESS_EVENTS, queue=jobs.QUEUE)
def process_events_task(event_ids: list[int]) -> None:
    pipeline.process_events(event_ids)
    pipeline.drain_inbox()


@app.task(name=jobs.APPLY_LINKS, queue=jobs.QUEUE)
def apply_links_task(link_ids: list[int]) -> None:
    apply_links(link_ids)


@app.task(name=jobs.PLAN_PURCHASES, queue=jobs.QUEUE)
def plan_purchases_task(purchase_ids: list[int]) -> None:
    pipeline.plan_purchases(purchase_ids)


@app.periodic(cron="* * * * * */5", periodic_id="sweep")
@app.task(name=jobs.SWEEP, queue=jobs.QUEUE, queueing_lock=jobs.SWEEP)
def sweep_task(timestamp: int) -> None:
    sweep()


@app.periodic(cron="17 * * * *", periodic_id="catch_up")
@app.task(name=jobs.CATCH_UP, queue=jobs.QUEUE, queueing_lock=jobs.CATCH_UP, pass_context=True)
def catch_up_task(context: JobContext, timestamp: int) -> None:
    catch_up_stores(should_stop=context.should_abort)
