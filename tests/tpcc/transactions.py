"""The five transactions (clause 2), with the statements as one server would be asked them."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from random import Random

from tests.tpcc.sessions import Session
from tests.tpcc.tables import Scale, last_name

NO_ITEM = -1


@dataclass(slots=True)
class Tally:
    """What committed transactions have done, as far as terminals know."""

    done: dict[str, int] = field(default_factory=dict)
    repeated: int = 0
    rolled_back: int = 0
    remote_payments: int = 0
    remote_orders: int = 0
    paid: Decimal = Decimal(0)
    quantity: int = 0
    lines: int = 0
    deliveries: int = 0

    def add(self, other: Tally) -> None:
        """Take another terminal's in."""
        for name, count in other.done.items():
            self.done[name] = self.done.get(name, 0) + count
        for name in ("repeated", "rolled_back", "remote_payments", "remote_orders", "paid", "quantity", "lines"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.deliveries += other.deliveries


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a new order; ``item`` may be one that there is not."""

    item: int
    supplier: int
    quantity: int


class Terminal:
    """One clerk of one warehouse: decides what happens next, does it, and remembers what was committed."""

    def __init__(self, session: Session, scale: Scale, warehouse: int, seed: int) -> None:
        self.session = session
        self.scale = scale
        self.warehouse = warehouse
        self.random = Random(seed)
        self.tally = Tally()

    # -- new order (2.4) ---------------------------------------------------------------------------------------

    def new_order(self) -> None:
        """Order 5 to 15 items; one order in a hundred names an item that there is not, and is rolled back."""
        random, session, w = self.random, self.session, self.warehouse
        d, c = self._district(), self._customer()
        lines = [self._line() for _ in range(random.randint(5, 15))]
        if random.random() < 0.01:
            lines[-1] = Line(NO_ITEM, w, 1)
        local = all(line.supplier == w for line in lines)
        session.run("START TRANSACTION")
        session.one(
            "SELECT c_discount, c_last, c_credit, w_tax FROM customer, warehouse"
            " WHERE w_id = %s AND c_w_id = w_id AND c_d_id = %s AND c_id = %s",
            w, d, c,
        )  # fmt: skip
        order, _ = session.one(
            "SELECT d_next_o_id, d_tax FROM district WHERE d_id = %s AND d_w_id = %s FOR UPDATE", d, w
        )
        session.run("UPDATE district SET d_next_o_id = %s + 1 WHERE d_id = %s AND d_w_id = %s", order, d, w)
        session.run(
            "INSERT INTO orders (o_id, o_d_id, o_w_id, o_c_id, o_entry_d, o_ol_cnt, o_all_local)"
            " VALUES (%s, %s, %s, %s, NOW(), %s, %s)",
            order, d, w, c, len(lines), int(local),
        )  # fmt: skip
        session.run("INSERT INTO new_order (no_o_id, no_d_id, no_w_id) VALUES (%s, %s, %s)", order, d, w)
        for number, line in enumerate(lines, start=1):
            if not self._order_line(order, d, number, line):
                session.run("ROLLBACK")
                self.tally.rolled_back += 1
                return
        session.run("COMMIT")
        self.tally.remote_orders += not local
        self.tally.lines += len(lines)
        self.tally.quantity += sum(line.quantity for line in lines)

    def _line(self) -> Line:
        remote = self.random.random() < 0.01
        supplier = self._other_warehouse() if remote else self.warehouse
        return Line(self.random.randint(1, self.scale.items), supplier, self.random.randint(1, 10))

    def _order_line(self, order: int, d: int, number: int, line: Line) -> bool:
        session, w = self.session, self.warehouse
        found = session.run("SELECT i_price, i_name, i_data FROM item WHERE i_id = %s", line.item)
        if not found:
            return False
        quantity, info = session.one(
            f"SELECT s_quantity, s_dist_{d:02} FROM stock WHERE s_i_id = %s AND s_w_id = %s FOR UPDATE",
            line.item, line.supplier,
        )  # fmt: skip
        left = quantity - line.quantity if quantity >= line.quantity + 10 else quantity - line.quantity + 91
        session.run(
            "UPDATE stock SET s_quantity = %s, s_ytd = s_ytd + %s, s_order_cnt = s_order_cnt + 1,"
            " s_remote_cnt = s_remote_cnt + %s WHERE s_i_id = %s AND s_w_id = %s",
            left, line.quantity, int(line.supplier != w), line.item, line.supplier,
        )  # fmt: skip
        session.run(
            "INSERT INTO order_line (ol_o_id, ol_d_id, ol_w_id, ol_number, ol_i_id, ol_supply_w_id, ol_quantity,"
            " ol_amount, ol_dist_info) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            order, d, w, number, line.item, line.supplier, line.quantity, line.quantity * found[0][0], info,
        )  # fmt: skip
        return True

    # -- payment (2.5) -----------------------------------------------------------------------------------------

    def payment(self) -> None:
        """A customer pays; 15 in 100 are customers of another warehouse."""
        session, w, d = self.session, self.warehouse, self._district()
        remote = self.random.random() < 0.15
        c_w, c_d = (self._other_warehouse(), self._district()) if remote else (w, d)
        amount = Decimal(self.random.randint(100, 500000)) / 100
        session.run("START TRANSACTION")
        session.run("UPDATE warehouse SET w_ytd = w_ytd + %s WHERE w_id = %s", amount, w)
        (w_name,) = session.one("SELECT w_name FROM warehouse WHERE w_id = %s", w)
        session.run("UPDATE district SET d_ytd = d_ytd + %s WHERE d_w_id = %s AND d_id = %s", amount, w, d)
        (d_name,) = session.one("SELECT d_name FROM district WHERE d_w_id = %s AND d_id = %s", w, d)
        c = self._chosen_customer(c_w, c_d, " FOR UPDATE")
        credit, data = session.one(
            "SELECT c_credit, c_data FROM customer WHERE c_w_id = %s AND c_d_id = %s AND c_id = %s FOR UPDATE",
            c_w, c_d, c,
        )  # fmt: skip
        noted = f"{c} {c_d} {c_w} {d} {w} {amount} | {data}"[:500] if credit == "BC" else data
        session.run(
            "UPDATE customer SET c_balance = c_balance - %s, c_ytd_payment = c_ytd_payment + %s,"
            " c_payment_cnt = c_payment_cnt + 1, c_data = %s WHERE c_w_id = %s AND c_d_id = %s AND c_id = %s",
            amount, amount, noted, c_w, c_d, c,
        )  # fmt: skip
        session.run(
            "INSERT INTO history (h_c_id, h_c_d_id, h_c_w_id, h_d_id, h_w_id, h_date, h_amount, h_data)"
            " VALUES (%s, %s, %s, %s, %s, NOW(), %s, %s)",
            c, c_d, c_w, d, w, amount, f"{w_name}    {d_name}",
        )  # fmt: skip
        session.run("COMMIT")
        self.tally.paid += amount
        self.tally.remote_payments += remote

    def _chosen_customer(self, w: int, d: int, lock: str = "") -> int:
        """Six in ten are looked up by name: the middle one of those who have it (2.5.2.2)."""
        if self.random.random() >= 0.6:
            return self._customer()
        found = self.session.run(
            "SELECT c_id FROM customer WHERE c_w_id = %s AND c_d_id = %s AND c_last = %s ORDER BY c_first" + lock,
            w, d, last_name(self._customer()),
        )  # fmt: skip
        return int(found[(len(found) - 1) // 2][0])

    # -- order status (2.6) ------------------------------------------------------------------------------------

    def order_status(self) -> None:
        """What a customer ordered last."""
        session, w, d = self.session, self.warehouse, self._district()
        session.run("START TRANSACTION")
        c = self._chosen_customer(w, d)
        session.one(
            "SELECT c_balance, c_first, c_last FROM customer WHERE c_w_id = %s AND c_d_id = %s AND c_id = %s", w, d, c
        )
        order, _, _, count = session.one(
            "SELECT o_id, o_entry_d, o_carrier_id, o_ol_cnt FROM orders"
            " WHERE o_w_id = %s AND o_d_id = %s AND o_c_id = %s ORDER BY o_id DESC LIMIT 1",
            w, d, c,
        )  # fmt: skip
        lines = session.run(
            "SELECT ol_i_id, ol_supply_w_id, ol_quantity, ol_amount, ol_delivery_d FROM order_line"
            " WHERE ol_w_id = %s AND ol_d_id = %s AND ol_o_id = %s",
            w, d, order,
        )  # fmt: skip
        session.run("COMMIT")
        assert len(lines) == count, (w, d, order, lines)

    # -- delivery (2.7) ----------------------------------------------------------------------------------------

    def delivery(self) -> None:
        """The oldest order of each district that waits."""
        session = self.session
        session.run("START TRANSACTION")
        carrier = self.random.randint(1, 10)
        delivered = sum(self._deliver(d, carrier) for d in range(1, self.scale.districts + 1))
        session.run("COMMIT")
        self.tally.deliveries += delivered

    def _deliver(self, d: int, carrier: int) -> bool:
        session, w = self.session, self.warehouse
        oldest = session.run(
            "SELECT no_o_id FROM new_order WHERE no_d_id = %s AND no_w_id = %s ORDER BY no_o_id LIMIT 1 FOR UPDATE",
            d, w,
        )  # fmt: skip
        if not oldest:
            return False
        order = oldest[0][0]
        key = (w, d, order)
        session.run("DELETE FROM new_order WHERE no_w_id = %s AND no_d_id = %s AND no_o_id = %s", *key)
        (c,) = session.one("SELECT o_c_id FROM orders WHERE o_w_id = %s AND o_d_id = %s AND o_id = %s", *key)
        session.run(
            "UPDATE orders SET o_carrier_id = %s WHERE o_w_id = %s AND o_d_id = %s AND o_id = %s", carrier, *key
        )
        session.run(
            "UPDATE order_line SET ol_delivery_d = NOW() WHERE ol_w_id = %s AND ol_d_id = %s AND ol_o_id = %s", *key
        )
        (total,) = session.one(
            "SELECT SUM(ol_amount) FROM order_line WHERE ol_w_id = %s AND ol_d_id = %s AND ol_o_id = %s", *key
        )
        session.run(
            "UPDATE customer SET c_balance = c_balance + %s, c_delivery_cnt = c_delivery_cnt + 1"
            " WHERE c_w_id = %s AND c_d_id = %s AND c_id = %s",
            total, w, d, c,
        )  # fmt: skip
        return True

    # -- stock level (2.8) -------------------------------------------------------------------------------------

    def stock_level(self) -> None:
        """How many items of the last twenty orders are about to run out."""
        session, w, d = self.session, self.warehouse, self._district()
        session.run("START TRANSACTION")
        (following,) = session.one("SELECT d_next_o_id FROM district WHERE d_w_id = %s AND d_id = %s", w, d)
        session.one(
            "SELECT COUNT(DISTINCT s_i_id) FROM order_line, stock WHERE ol_w_id = %s AND ol_d_id = %s"
            " AND ol_o_id < %s AND ol_o_id >= %s - 20 AND s_w_id = %s AND s_i_id = ol_i_id AND s_quantity < %s",
            w, d, following, following, w, self.random.randint(10, 20),
        )  # fmt: skip
        session.run("COMMIT")

    # -- choices -----------------------------------------------------------------------------------------------

    def _district(self) -> int:
        return self.random.randint(1, self.scale.districts)

    def _customer(self) -> int:
        return self.random.randint(1, self.scale.customers)

    def _other_warehouse(self) -> int:
        others = [number for number in range(1, self.scale.warehouses + 1) if number != self.warehouse]
        return self.random.choice(others)
