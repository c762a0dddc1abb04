"""The tasks workers run: each one line of work and no decisions."""

from __future__ import annotations

from procrastinate import JobContext
from procrastinate.contrib.django import app

from licensing_integration import jobs
from licensing_integration.services import pipeline, replays, resend
from licensing_integration.services.apply import apply_links
from licensing_integration.services.catch_up import catch_up_stores
from licensing_integration.services.figures import count_days
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


@app.task(name=jobs.REPLAY, queue=jobs.QUEUE)
def replay_task(replay_id: int) -> None:
    replays.work_through(replay_id)


@app.periodic(cron="* * * * * */5", periodic_id="sweep")
@app.task(name=jobs.SWEEP, queue=jobs.QUEUE, queueing_lock=jobs.SWEEP)
def sweep_task(timestamp: int) -> None:
    sweep()
    resend.wake_due()


@app.periodic(cron="17 * * * *", periodic_id="catch_up")
@app.task(name=jobs.CATCH_UP, queue=jobs.QUEUE, queueing_lock=jobs.CATCH_UP, pass_context=True)
def catch_up_task(context: JobContext, timestamp: int) -> None:
    catch_up_stores(should_stop=context.should_abort)


@app.task(name=jobs.SEND_KEY_MAILS, queue=jobs.QUEUE)
def send_key_mails_task(mail_ids: list[int]) -> None:
    resend.send_key_mails(mail_ids)


@app.periodic(cron="*/5 * * * *", periodic_id="count_figures")
@app.task(name=jobs.COUNT_FIGURES, queue=jobs.QUEUE, queueing_lock=jobs.COUNT_FIGURES, pass_context=True)
def count_figures_task(context: JobContext, timestamp: int) -> None:
    count_days(should_stop=context.should_abort)
