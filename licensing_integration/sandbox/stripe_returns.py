"""Money that goes back in the pretend Stripe shop: refunds and disputes."""

from __future__ import annotations

from licensing_integration.sandbox import stripe_payments as payments
from licensing_integration.sandbox.stripe_account import Event, Object, StripeAccount


class MoneyBack(StripeAccount):
    """Payments are named by their payment intents: ``payment_of_invoice`` finds an invoice's."""

    def refund(self, payment_intent: str, *, amount: int | None = None) -> list[Event]:
        """``amount`` in the smallest unit of the currency; what is left of the payment if it is not told."""
        charge = self._charge(payment_intent)
        amount = charge["amount"] - charge["amount_refunded"] if amount is None else amount
        refund = payments.refund(
            self.new_id("re_3"), charge=charge, amount=amount, transaction=self.new_id("txn_3"), at=self.now()
        )
        self.refunds[refund["id"]] = refund
        self._count_refund(charge, amount)
        return [
            *self.report("refund.created", refund, by_api=True),
            *self.report("charge.refunded", charge, by_api=True),
        ]

    def fail_refund(self, refund_id: str) -> list[Event]:
        """The bank sends the money back, so that nothing has been refunded."""
        refund = self.refunds[refund_id]
        refund["status"] = "failed"
        self._count_refund(self.charges[refund["charge"]], -refund["amount"])
        return self.report("refund.failed", refund)

    def dispute(self, payment_intent: str, *, is_inquiry: bool = False) -> list[Event]:
        """A chargeback; an inquiry moves no money yet."""
        charge = self._charge(payment_intent)
        dispute = payments.dispute(
            self.new_id("du_1"),
            charge=charge,
            is_inquiry=is_inquiry,
            transaction=self.new_id("txn_3"),
            at=self.now(),
        )
        self.disputes[dispute["id"]] = dispute
        charge["disputed"] = True
        events = self.report("charge.dispute.created", dispute)
        return events if is_inquiry else events + self.report("charge.dispute.funds_withdrawn", dispute)

    def close_dispute(self, dispute_id: str, *, status: str) -> list[Event]:
        """``status`` is won, lost or, for an inquiry, warning_closed."""
        dispute = self.disputes[dispute_id]
        details = {"has_evidence": True, "submission_count": 1, "submission_method": "manual"}
        dispute.update(status=status, evidence_details={**dispute["evidence_details"], **details})
        if status != "won":
            return self.report("charge.dispute.closed", dispute)
        charge = self.charges[dispute["charge"]]
        back = payments.movement(self.new_id("txn_3"), dispute_id=dispute_id, charge=charge, sign=1, at=self.now())
        dispute["balance_transactions"] = [*dispute["balance_transactions"], back]
        return [
            *self.report("charge.dispute.closed", dispute),
            *self.report("charge.dispute.funds_reinstated", dispute),
        ]

    def _charge(self, payment_intent: str) -> Object:
        charge = self.charge_of_payment(payment_intent)
        if charge is None:
            raise ValueError("The payment has not been made.")
        return charge

    @staticmethod
    def _count_refund(charge: Object, amount: int) -> None:
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
