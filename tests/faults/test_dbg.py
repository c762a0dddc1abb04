import signal, time
from tests.faults.lives import deliveries_of, orders
from tests.faults.posting import post
from tests.faults.processes import wait_until
def test_dbg(stack):
    lives = orders(12, quantity=2)
    fault = stack.sandbox.faults.add(kind="commit_then_delay", method="POST", path="/v3/licenses", seconds=1.5)
    worker = stack.start_worker()
    post(stack, *deliveries_of(lives))
    wait_until(lambda: fault.hits > 0, what="the worker is busy")
    t=time.time()
    worker.send(signal.SIGTERM)
    print(worker.wait(20), time.time()-t)
    print(worker.output)
    for r in stack.database.query("SELECT id, unit, sync_state, attempts, unclear_attempts, lease_token, lease_until-now(), failure_message, retry_at-now() FROM licensing_integration_licenselink order by id"): print(r)
    print(stack.database.query("select id,status,task_name,args from procrastinate_jobs"))
