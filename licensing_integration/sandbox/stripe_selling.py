"""What the pretend Stripe shop sells: by Checkout, by API, and by an invoice made by hand."""

from __future__ import annotations

from collections.abc import Mapping

from licensing_integration.sandbox import stripe_catalog as catalog
from licensing_integration.sandbox import stripe_checkout as checkout
from licensing_integration.sandbox import stripe_steps as steps
from licensing_integration.sandbox.fastspring import Buyer
from licensing_integration.sandbox.stripe_account import Event, Object, StripeAccount
from licensing_integration.sandbox.stripe_steps import Line


class Selling(StripeAccount):
    """Every step answers with what came of it, a live object of the account, and the events."""

    def add_product(self, name: str, *, product_id: str = "", metadata: Mapping[str, str] | None = None) -> Object:
        product = catalog.product(
            product_id or self.new_id("prod_", length=14),
            name=name,
            metadata=metadata or {},
            at=self.now(),
            live=self.live,
        )
        self.products[product["id"]] = product
        return product

    def add_price(
        self,
        product_id: str,
        *,
        amount: int = 4900,
        interval: str | None = None,
        currency: str = "usd",
        price_id: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> Object:
        """``interval`` is day, week, month or year; None makes a one-time price."""
        price = catalog.price(
            price_id or self.new_id("price_1"),
            product_id=product_id,
            amount=amount,
            currency=currency,
            interval=interval,
            metadata=metadata or {},
            at=self.now(),
            live=self.live,
        )
        self.prices[price["id"]] = price
        return price

    # -- Checkout -----------------------------------------------------------------------------------------------------

    def buy(
        self,
        buyer: Buyer,
        *lines: Line,
        metadata: Mapping[str, str] | None = None,
        reference: str | None = None,
        is_delayed: bool = False,
        is_free: bool = False,
        has_invoice: bool = False,
        is_payment_link: bool = False,
    ) -> tuple[Object, list[Event]]:
        """A completed Checkout of one-time prices, and its events. ``is_delayed``: the money comes with ``settle``;
        ``is_free``: a coupon takes off everything; ``has_invoice``: the shop lets Checkout make an invoice."""
        events: list[Event] = []
        customer = self._add_customer(buyer, events) if has_invoice else None
        session = self._session(buyer, lines, mode="payment", customer=customer, metadata=metadata, reference=reference)
        if is_payment_link:
            urls = {"cancel_url": "https://stripe.com", "success_url": "https://stripe.com"}
            session.update(urls, payment_link=self.new_id("plink_1"), submit_type="pay")
        if is_free:
            self._take_off_everything(session)
        else:
            session["payment_intent"] = self.new_id("pi_3")
        if has_invoice and customer is not None:
            session["invoice_creation"] = checkout.invoice_creation(enabled=True)
            session["invoice"] = steps.draw_invoice(
                self,
                customer=customer["id"],
                lines=steps.one_time_lines(self, lines, subscription=None),
                reason="manual",
                payment_intent=session["payment_intent"],
            )["id"]
        return session, events + self._complete(session, is_delayed=is_delayed)

    def subscribe(
        self,
        buyer: Buyer,
        *lines: Line,
        trial_days: int = 0,
        metadata: Mapping[str, str] | None = None,
        subscription_metadata: Mapping[str, str] | None = None,
        reference: str | None = None,
        is_delayed: bool = False,
        is_classic: bool = False,
    ) -> tuple[Object, list[Event]]:
        """A completed Checkout in subscription mode, one-time lines allowed, and its events. The session names the
        subscription. With ``is_delayed`` the subscription is active at once and the money comes with ``settle``."""
        events: list[Event] = []
        customer = self._add_customer(buyer, events)
        session = self._session(
            buyer,
            lines,
            mode="subscription",
            customer=customer,
            metadata=metadata,
            reference=reference,
            is_trial=bool(trial_days),
        )
        subscription = self._subscription(
            customer, lines, trial_days=trial_days, metadata=subscription_metadata, is_classic=is_classic
        )
        session.update(subscription=subscription["id"], invoice=subscription["latest_invoice"])
        if trial_days:
            session["payment_method_collection"] = "if_required"
        events += self.report("customer.subscription.created", subscription, by_api=True)
        return session, events + self._complete(session, is_delayed=is_delayed)

    def settle(self, session_id: str, *, succeeds: bool = True) -> list[Event]:
        """Days after the session the delayed payment arrives, or fails."""
        session = self.sessions[session_id]
        invoice = self.invoices.get(session["invoice"] or "")
        if not succeeds:
            events = self.report("checkout.session.async_payment_failed", session)
            return events + (steps.decline_invoice(self, invoice) if invoice else [])
        return self._collect(session, "checkout.session.async_payment_succeeded")

    def abandon(self, buyer: Buyer, *lines: Line) -> tuple[Object, list[Event]]:
        """A Checkout that nobody completes in its 24 hours."""
        session = self._session(buyer, lines, mode="payment", customer=None)
        session.update(status="expired", customer_details=None)
        return session, self.report("checkout.session.expired", session)

    def set_up(self, buyer: Buyer) -> tuple[Object, list[Event]]:
        """A Checkout that only saves a payment method and sells nothing."""
        events: list[Event] = []
        session = self._session(buyer, (), mode="setup", customer=self._add_customer(buyer, events))
        session.update(setup_intent=self.new_id("seti_1"), payment_status="no_payment_required", status="complete")
        return session, events + self.report("checkout.session.completed", session)

    def _session(
        self,
        buyer: Buyer,
        lines: tuple[Line, ...],
        *,
        mode: str,
        customer: Object | None,
        metadata: Mapping[str, str] | None = None,
        reference: str | None = None,
        is_trial: bool = False,
    ) -> Object:
        session = checkout.session(
            self.new_id(f"cs_{'live' if self.live else 'test'}_a1", length=58),
            mode=mode,
            items=[self._line_item(line, is_trial=is_trial) for line in lines],
            metadata=metadata or {},
            reference=reference,
            customer=customer["id"] if customer else None,
            method_configuration=self.new_id("pmc_1"),
            at=self.now(),
            live=self.live,
        )
        session["customer_details"] = checkout.customer_details(
            email=buyer.email, name=buyer.name, company=buyer.company
        )
        self.sessions[session["id"]] = session
        return session

    def _line_item(self, line: Line, *, is_trial: bool) -> Object:
        price = self.prices[line.price]
        return checkout.line_item(
            self.new_id("li_1"),
            price=price,
            quantity=line.quantity,
            description=steps.name_of(self, price),
            is_trial=is_trial and price["recurring"] is not None,
        )

    def _take_off_everything(self, session: Object) -> None:
        totals = {**session["total_details"], "amount_discount": session["amount_subtotal"]}
        discounts = [{"coupon": self.new_id("", length=8), "promotion_code": None}]
        session.update(amount_total=0, discounts=discounts, total_details=totals)

    def _complete(self, session: Object, *, is_delayed: bool) -> list[Event]:
        session["status"] = "complete"
        if not is_delayed:
            return self._collect(session, "checkout.session.completed")
        session["payment_method_types"] = ["card", "sepa_debit"]
        return self.report("checkout.session.completed", session)

    def _collect(self, session: Object, event_type: str) -> list[Event]:
        """The money of a session arrives, or none is asked for."""
        session["payment_status"] = "paid" if session["amount_total"] else "no_payment_required"
        if session["payment_intent"]:
            steps.add_charge(
                self,
                payment_intent=session["payment_intent"],
                amount=session["amount_total"],
                currency=session["currency"],
                email=session["customer_details"]["email"],
                name=session["customer_details"]["name"],
                customer=session["customer"],
            )
        events = self.report(event_type, session)
        invoice = self.invoices.get(session["invoice"] or "")
        return events + (steps.pay_invoice(self, invoice) if invoice else [])

    # -- without Checkout ---------------------------------------------------------------------------------------------

    def create_subscription(
        self,
        buyer: Buyer,
        *lines: Line,
        trial_days: int = 0,
        metadata: Mapping[str, str] | None = None,
        is_paid: bool = True,
        is_classic: bool = False,
    ) -> tuple[Object, list[Event]]:
        """A subscription made by API. Not ``is_paid``: it stays incomplete until ``recover`` or ``expire``."""
        events: list[Event] = []
        customer = self._add_customer(buyer, events)
        subscription = self._subscription(
            customer, lines, trial_days=trial_days, metadata=metadata, is_classic=is_classic
        )
        if not is_paid:
            subscription["status"] = "incomplete"
        events += self.report("customer.subscription.created", subscription, by_api=True)
        invoice = self.invoices[subscription["latest_invoice"]]
        return subscription, events + (steps.pay_invoice if is_paid else steps.decline_invoice)(self, invoice)

    def send_invoice(
        self, buyer: Buyer, *lines: Line, metadata: Mapping[str, str] | None = None
    ) -> tuple[Object, list[Event]]:
        """An invoice made by hand over one-time prices, and paid."""
        events: list[Event] = []
        customer = self._add_customer(buyer, events)
        invoice_lines = steps.one_time_lines(self, lines, subscription=None)
        invoice = steps.draw_invoice(self, customer=customer["id"], lines=invoice_lines, reason="manual")
        invoice["metadata"] = dict(metadata or {})
        return invoice, events + steps.pay_invoice(self, invoice)

    def _add_customer(self, buyer: Buyer, events: list[Event]) -> Object:
        customer = steps.add_customer(self, buyer)
        events += self.report("customer.created", customer)
        return customer

    def _subscription(
        self,
        customer: Object,
        lines: tuple[Line, ...],
        *,
        trial_days: int,
        metadata: Mapping[str, str] | None,
        is_classic: bool,
    ) -> Object:
        subscription = steps.start_subscription(
            self,
            customer=customer,
            lines=lines,
            trial_days=trial_days,
            metadata=metadata or {},
            is_classic=is_classic or self.is_old,
        )
        invoice_lines = steps.period_lines(self, subscription) + steps.one_time_lines(
            self, lines, subscription=subscription
        )
        steps.draw_invoice(
            self, customer=customer["id"], lines=invoice_lines, reason="subscription_create", subscription=subscription
        )
        return subscription
