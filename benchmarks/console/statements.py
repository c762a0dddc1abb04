"""The SQL that makes the rows: each statement fills one table from ``generate_series``, always with the same result.

Parameters: ``events``, ``purchases``: how many; ``now``; ``many``: purchases of one address; ``bulk``: licenses of one
purchase; ``busy``: extra entries of one license; ``entries``: history entries in all; ``rare_events``,
``rare_purchases``, ``rare_licenses``: one in so many. What is rare or extreme is the same number of rows in a small
database as in a large one, so that a page shows as much of it.
"""

from __future__ import annotations

from typing import Final

BULK_PURCHASE: Final = 8  # bought hundreds of units
THREE_PURCHASE: Final = 13  # two products, one of them twice
BUSY_PURCHASE: Final = 21  # its license has thousands of history entries
MAPPINGS: Final = 200

_SAMPLES: Final = """
CREATE TEMPORARY TABLE sample (
    number int, store text, kind text, state text, line text, attributes text, terms text, reference text,
    desired text, observed text, reason text);
CREATE TEMPORARY TABLE sample_event (number int, role text, event_type text, body text, headers jsonb);
CREATE TEMPORARY TABLE sample_entry (
    number int, role text, is_of_license bool, kind text, sentence text, changes jsonb, calls text);
"""

# Numbers that look like chance and are the same each time.
_FUNCTIONS: Final = """
CREATE FUNCTION pg_temp.chance(i bigint, most bigint) RETURNS bigint LANGUAGE sql IMMUTABLE
    RETURN (i * 2654435761 + i / 7) % 2147483647 % most;
CREATE FUNCTION pg_temp.filled(text, purchase text, orders text, email text, product text, customer text)
    RETURNS text LANGUAGE sql IMMUTABLE
    RETURN replace(replace(replace(replace(replace($1, '@PURCHASE@', purchase), '@ORDER@', orders),
                   '@EMAIL@', email), '@PRODUCT@', product), '@CUSTOMER@', customer);
"""

PREPARE: Final = _SAMPLES + _FUNCTIONS

# What all tables say of a purchase. Every event, four per purchase, has its share of two years.
PLAN_PURCHASES: Final = """
CREATE TEMPORARY TABLE planned AS
SELECT p, is_stripe, is_subscription, 2 * is_stripe::int + is_subscription::int AS number, product, mapping_id, email,
       %(now)s - interval '730 days' * (1 - (4.0 * p - 3) / %(events)s) AS begun_at,
       CASE WHEN is_stripe AND is_subscription THEN 'sub_' WHEN is_stripe THEN 'cs_live_' ELSE '' END
           || lpad(p::text, 22, 'P') AS store_id,
       CASE WHEN is_stripe THEN 'in_' ELSE '' END || lpad(p::text, 21, 'O') AS order_id,
       CASE WHEN is_stripe THEN 'cus_' ELSE '' END || lpad(p::text, 22, 'C') AS customer,
       CASE WHEN p = %(bulk_purchase)s THEN %(bulk)s WHEN p %% 10 = 7 OR p = %(three_purchase)s THEN 2
            ELSE 1 END AS quantity,
       p %% %(rare_purchases)s = 9 AS is_waiting
  FROM (
    SELECT p, p %% 5 = 0 AS is_stripe, p %% 2 = 0 AS is_subscription,
           CASE WHEN p %% %(rare_purchases)s = 9 THEN 'new-product-' || p / %(rare_purchases)s %% 14
                ELSE 'product-' || CASE WHEN p %% 5 = 0 THEN 160 + p %% 40 ELSE p %% 160 END END AS product,
           CASE WHEN p %% %(rare_purchases)s = 9 THEN NULL WHEN p %% 5 = 0 THEN 161 + p %% 40
                ELSE 1 + p %% 160 END AS mapping_id,
           CASE WHEN p %% (%(purchases)s / %(many)s) = 3 THEN 'purchasing@agency.example.com'
                ELSE 'customer' || pg_temp.chance(p, 1 + %(purchases)s * 4 / 5) || '@example.com' END AS email
      FROM generate_series(1, %(purchases)s) p) known;
CREATE UNIQUE INDEX planned_by_number ON planned (p);
"""

EVENTS: Final = """
INSERT INTO licensing_integration_webhookevent
    (id, store, external_id, event_type, is_live, occurred_at, received_at, deliveries, body, headers, state, problem,
     attempts, processed_at)
SELECT i, sample.store, external_id, event_type, i %% (%(rare_events)s / 2) <> 5, at, at, 1 + (i %% 40 = 5)::int,
       replace(pg_temp.filled(body, store_id, order_id, email, product, customer), '@EVENT@', external_id),
       headers, verdict,
       CASE verdict WHEN 'failed' THEN 'An error of ours; the log has the details.'
                    WHEN 'unsupported' THEN 'We do not know events of this type.'
                    WHEN 'malformed' THEN 'data.items is not a list.' ELSE '' END,
       (verdict NOT IN ('received', 'ignored', 'held'))::int,
       CASE WHEN verdict <> 'received' THEN at + interval '1 second' END
  FROM (
    SELECT i, p, 'evt_' || lpad(i::text, 24, 'E') AS external_id,
           %(now)s - interval '730 days' * (1 - i::numeric / %(events)s) AS at,
           CASE WHEN role = 'ignored' THEN 'ignored' WHEN i %% %(rare_events)s = 5 THEN 'held'
                WHEN i %% %(rare_events)s = 7 THEN 'failed'
                WHEN i %% %(rare_events)s = 11 THEN 'unsupported'
                WHEN i %% (2 * %(rare_events)s) = 14 THEN 'malformed'
                WHEN i > %(events)s - 20 THEN 'received' ELSE 'applied' END AS verdict,
           role
      FROM (
        SELECT i, CASE WHEN i %% 40 = 2 THEN 'ignored' WHEN i %% 4 = 1 THEN 'first' ELSE 'later' END AS role,
               CASE WHEN i %% 4 = 1 THEN (i + 3) / 4
                    ELSE 2 + 2 * pg_temp.chance(i, greatest(1, (i + 3) / 8)) END AS p
          FROM generate_series(1, %(events)s) i) chosen) decided
  JOIN planned USING (p)
  JOIN sample ON sample.number = planned.number
  JOIN sample_event ON sample_event.number = planned.number AND sample_event.role = decided.role
 ORDER BY i
"""

LARGE_EVENT: Final = """
UPDATE licensing_integration_webhookevent
   SET body = left(body, -1) || ',"note":"' || (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 32000) i)
              || '"}'
 WHERE id = %(events)s / 2
"""

PURCHASES: Final = """
INSERT INTO licensing_integration_purchase
    (id, store, kind, external_id, reference, status, paid_through, customer_email, customer_name, is_live, state,
     review_at, attention, first_seen_at, updated_at)
SELECT p, store, kind, store_id, CASE WHEN is_stripe THEN '' ELSE 'ACM' || lpad(p::text, 12, '0') END, status,
       CASE WHEN status IN ('active', 'overdue', 'canceled') THEN %(now)s + interval '1 day' * (p %% 60 - 2)
            WHEN is_subscription THEN begun_at + interval '30 days' END,
       email, 'Ava Lindqvist', p %% %(rare_purchases)s <> 10,
       pg_temp.filled(state, store_id, order_id, email, product, customer)::jsonb,
       CASE WHEN status = 'overdue' THEN %(now)s + interval '1 day' * (p %% 14) END,
       CASE WHEN p %% %(rare_purchases)s = 11
            THEN 'The customer was charged twice. Refund one of the payments in the store.'
            ELSE '' END,
       begun_at, begun_at + interval '1 second'
  FROM (
    SELECT *, CASE WHEN NOT is_subscription THEN CASE p %% 100 WHEN 1 THEN 'pending' WHEN 3 THEN 'not_paid'
                                                 ELSE 'completed' END
                   WHEN p %% 100 < 60 THEN 'active' WHEN p %% 100 < 64 THEN 'overdue' WHEN p %% 100 < 66 THEN 'paused'
                   WHEN p %% 100 < 68 THEN 'trial' WHEN p %% 100 < 80 THEN 'canceled' ELSE 'ended' END AS status
      FROM planned) known
  JOIN sample USING (number)
 ORDER BY p
"""

ALIASES: Final = """
INSERT INTO licensing_integration_purchasealias (store, kind, value, purchase_id)
SELECT store, alias.kind, alias.value, p
  FROM planned JOIN sample USING (number),
       LATERAL (VALUES ('order', order_id || '0'), ('customer', customer)) AS alias (kind, value)
 WHERE is_subscription
 ORDER BY p
"""

ITEMS: Final = """
INSERT INTO licensing_integration_purchaseitem
    (id, purchase_id, store, line, product, variant, display, quantity, returned_quantity, attributes, mapping_id,
     terms, problem, failure_mode)
SELECT row_number() OVER (ORDER BY p, place), p, store,
       pg_temp.filled(line, store_id, order_id, email, product, customer) || CASE place WHEN 2 THEN '-2' ELSE '' END,
       product, CASE WHEN is_stripe THEN 'price_' || mapping_id ELSE '' END, initcap(replace(product, '-', ' ')),
       CASE place WHEN 1 THEN quantity ELSE 1 END, 0,
       pg_temp.filled(attributes, store_id, order_id, email, product, customer)::jsonb, mapping_id,
       CASE WHEN NOT is_waiting THEN pg_temp.filled(terms, store_id, order_id, email, product, customer)::jsonb END,
       CASE WHEN is_waiting THEN 'No product mapping says which license this becomes.' ELSE '' END,
       CASE WHEN is_waiting THEN 'config' ELSE '' END
  FROM planned JOIN sample USING (number), generate_series(1, 1 + (p %% 10 = 3)::int) place
"""

LINKS: Final = """
INSERT INTO licensing_integration_licenselink
    (id, item_id, purchase_id, unit, reference, server, external_id, key, reason, desired, applied, observed,
     observed_at, state, expires_at, sync_state, failure_mode, failure_message, question, is_adoptable, attempts,
     unclear_attempts, failing_since, retry_at, override_state, override_until, override_reason, issued_at, created_at,
     updated_at)
SELECT id, item_id, p, unit, reference, 'cryptlex', license, key, reason, desired,
       CASE WHEN license <> '' THEN desired END, CASE WHEN license <> '' THEN observed END, begun_at, state,
       CASE WHEN is_subscription THEN %(now)s + interval '1 day' * (id %% 400 - 100) END, sync_state,
       CASE WHEN sync_state = 'settled' THEN ''
            ELSE (ARRAY['config', 'permanent', 'exceeded', ''])[1 + id / 10 %% 4] END,
       CASE WHEN sync_state = 'settled' THEN '' ELSE 'Cryptlex answered 400: the product was not found.' END,
       CASE WHEN id %% %(rare_licenses)s = 8 THEN 'Half of the order was refunded. Shall the license be suspended?'
            ELSE '' END,
       false, 0, 0, CASE WHEN sync_state <> 'settled' THEN %(now)s - interval '1 hour' * (id %% 70) END,
       CASE WHEN sync_state = 'pending' THEN %(now)s + interval '10 minutes' END,
       CASE WHEN id %% %(rare_licenses)s = 9 THEN 'active' ELSE '' END,
       CASE WHEN id %% %(rare_licenses)s = 9 THEN %(now)s + interval '1 day' * (id %% 40 - 5) END,
       CASE WHEN id %% %(rare_licenses)s = 9 THEN 'Goodwill after an outage.' ELSE '' END,
       CASE WHEN license <> '' THEN begun_at END, begun_at, begun_at
  FROM (
    SELECT slots.*, sample.reason, pg_temp.filled(reference, store_id, order_id, email, product, customer) AS reference,
           pg_temp.filled(desired, store_id, order_id, email, product, customer)::jsonb AS desired,
           replace(replace(pg_temp.filled(observed, store_id, order_id, email, product, customer),
                           '@LICENSE@', license), '@KEY@', key)::jsonb AS observed
      FROM slots JOIN sample USING (number)) known
 ORDER BY id
"""

PLAN_SLOTS: Final = """
CREATE TEMPORARY TABLE slots AS
SELECT *, CASE WHEN is_new THEN '' ELSE md5('license ' || id)::uuid::text END AS license,
       CASE WHEN is_new THEN '' ELSE
            upper(regexp_replace(md5('key ' || id) || substr(md5('more ' || id), 1, 4), '(.{6})(?=.)', '\\1-', 'g'))
       END AS key,
       CASE WHEN is_new THEN 'absent' WHEN id %% 50 = 1 THEN 'suspended' WHEN id %% 60 = 2 THEN 'revoked'
            ELSE 'active' END AS state,
       CASE WHEN id %% %(rare_licenses)s IN (4, 5) THEN 'attention'
            WHEN id %% %(rare_licenses)s = 6 THEN 'pending' ELSE 'settled' END AS sync_state
  FROM (
    SELECT *, id %% %(rare_licenses)s IN (4, 6) AS is_new
      FROM (
        SELECT row_number() OVER (ORDER BY p, item.id, unit) AS id, item.id AS item_id, p, unit, begun_at, number,
               is_subscription, email, store_id, order_id, customer, planned.product
          FROM licensing_integration_purchaseitem item
          JOIN planned ON planned.p = item.purchase_id, generate_series(1, item.quantity) unit
         WHERE item.problem = '') numbered) chosen;
CREATE TEMPORARY TABLE first_slot AS
SELECT DISTINCT ON (p) p, id AS link_id, license, key FROM slots ORDER BY p, id;
CREATE UNIQUE INDEX first_slot_of_purchase ON first_slot (p);
"""

HISTORY: Final = """
INSERT INTO licensing_integration_historyentry
    (id, purchase_id, link_id, event_id, kind, sentence, changes, calls, request_id, at)
SELECT row_number() OVER (ORDER BY event_id, is_of_license), p, CASE WHEN is_of_license THEN link_id END, event_id,
       kind, replace(sentence, '@PRODUCT@', product), changes,
       CASE WHEN event_id %% 4 = 1 THEN pg_temp.filled(calls, store_id, order_id, email, product, customer)::jsonb END,
       CASE WHEN is_of_license THEN md5('request ' || event_id) ELSE '' END, received_at + interval '1 second'
  FROM touched
  JOIN sample_entry USING (number, role)
 WHERE NOT is_of_license OR link_id IS NOT NULL
"""

# The purchase of an event, by the statement that made the event.
PLAN_HISTORY: Final = """
CREATE TEMPORARY TABLE touched AS
SELECT event.id AS event_id, event.received_at, p, link_id, number, store_id, order_id, email, product, customer,
       CASE WHEN event.id %% 4 = 1 THEN 'first' ELSE 'later' END AS role
  FROM (
    SELECT id, received_at, CASE WHEN id %% 4 = 1 THEN (id + 3) / 4
                                 ELSE 2 + 2 * pg_temp.chance(id, greatest(1, (id + 3) / 8)) END AS p
      FROM licensing_integration_webhookevent WHERE state = 'applied') event
  JOIN planned USING (p)
  LEFT JOIN first_slot USING (p)
"""

BUSY_LICENSE: Final = """
INSERT INTO licensing_integration_historyentry
    (id, purchase_id, link_id, event_id, kind, sentence, changes, calls, request_id, at)
SELECT last.id + i, p, link_id, CASE WHEN i %% 2 = 0 THEN i END, 'license.renewed', 'Renewed for another month.',
       '{"expires_at": ["2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00"]}',
       CASE WHEN i %% 2 = 0 THEN calls END, '', %(now)s - interval '1 hour' * (%(busy)s - i)
  FROM (SELECT max(id) AS id FROM licensing_integration_historyentry) last, first_slot,
       (SELECT calls::jsonb FROM sample_entry WHERE calls IS NOT NULL LIMIT 1) AS one (calls),
       generate_series(1, %(busy)s) i
 WHERE p = %(busy_purchase)s
"""

# What people did, to make the number full.
MORE_HISTORY: Final = """
INSERT INTO licensing_integration_historyentry
    (id, purchase_id, link_id, user_id, kind, sentence, changes, request_id, at)
SELECT last.id + i, p, link_id, people.id, 'license.resync', 'Resync asked for. The customer says it does not work.',
       '{}', '', %(now)s - interval '730 days' * (last.number - i) / last.number
  FROM (SELECT max(id) AS id, %(entries)s - count(*) AS number FROM licensing_integration_historyentry) last,
       (SELECT min(id) AS id FROM auth_user) people,
       LATERAL (SELECT i, 1 + pg_temp.chance(i, %(purchases)s) AS p FROM generate_series(1, last.number) i) chosen
  JOIN first_slot USING (p)
"""

AUDIT: Final = """
INSERT INTO licensing_integration_auditentry (at, user_id, user_name, action, sentence, reason, link_id, purchase_id)
SELECT %(now)s - interval '730 days' * (%(audited)s - i) / %(audited)s, people.id, username,
       (ARRAY['license.resync', 'license.overridden', 'purchase.plan_again', 'event.replay'])[1 + i %% 4],
       'Resync asked for.', 'The customer asked for it.', link_id, p
  FROM (SELECT i, 1 + pg_temp.chance(i, %(purchases)s) AS p FROM generate_series(1, %(audited)s) i) chosen
  JOIN first_slot USING (p)
  JOIN (SELECT id, username, row_number() OVER (ORDER BY id) - 1 AS place, count(*) OVER () AS number FROM auth_user)
       people ON place = i %% number
 ORDER BY i
"""

REPLAYS: Final = """
INSERT INTO licensing_integration_bulkreplay (event_ids, reason, state, done, created_by_id, created_at, finished_at)
SELECT ARRAY(SELECT generate_series(1, number)), 'The license server was down.', 'done', number, people.id, at, at
  FROM (SELECT CASE i WHEN 30 THEN %(events)s / 4 ELSE 37 END AS number, %(now)s - interval '1 day' * (30 - i) AS at
          FROM generate_series(1, 30) i) known, (SELECT min(id) AS id FROM auth_user) people
"""

REFUSED: Final = """
INSERT INTO licensing_integration_rejecteddelivery (store, reason, count, first_at, last_at)
SELECT store, reason, 120, %(now)s - interval '5 hours', %(now)s - interval '1 hour'
  FROM unnest(ARRAY['fastspring', 'stripe']) store, unnest(ARRAY['wrong_signature', 'no_signature', 'too_large']) reason
"""

MAILS: Final = """
INSERT INTO licensing_integration_keymail
    (purchase_id, link_ids, address, state, attempts, is_unclear, retry_at, asked_at)
SELECT p, ARRAY[link_id], email, 'sent', 1, false, begun_at, begun_at FROM planned JOIN first_slot USING (p)
 WHERE p %% 100 = 1
"""

USERS_OF_SERVER: Final = """
INSERT INTO licensing_integration_licensinguser (server, email, external_id)
SELECT 'cryptlex', email, md5(email)::uuid::text FROM planned GROUP BY email
"""
