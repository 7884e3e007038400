"""What must hold whatever has happened: the consistency conditions of clause 3.3.2, and the terminals' own books."""

from __future__ import annotations

from decimal import Decimal

from tests.tpcc.sessions import Session
from tests.tpcc.transactions import Tally

# Each asks for what is wrong, of all shards at once.
CONDITIONS = {
    "1: W_YTD = sum(D_YTD)": """
        SELECT w_id, w_ytd, SUM(d_ytd) FROM warehouse JOIN district ON d_w_id = w_id
        GROUP BY w_id, w_ytd HAVING w_ytd <> SUM(d_ytd)""",
    "2: D_NEXT_O_ID - 1 = max(O_ID)": """
        SELECT d_w_id, d_id, d_next_o_id, MAX(o_id) FROM district JOIN orders ON o_w_id = d_w_id AND o_d_id = d_id
        GROUP BY d_w_id, d_id, d_next_o_id HAVING d_next_o_id - 1 <> MAX(o_id)""",
    "2: D_NEXT_O_ID - 1 = max(NO_O_ID)": """
        SELECT d_w_id, d_id, d_next_o_id, MAX(no_o_id) FROM district
        JOIN new_order ON no_w_id = d_w_id AND no_d_id = d_id
        GROUP BY d_w_id, d_id, d_next_o_id HAVING d_next_o_id - 1 <> MAX(no_o_id)""",
    "3: NO_O_ID has no gaps": """
        SELECT no_w_id, no_d_id FROM new_order GROUP BY no_w_id, no_d_id
        HAVING MAX(no_o_id) - MIN(no_o_id) + 1 <> COUNT(*)""",
    "4: sum(O_OL_CNT) = number of lines": """
        SELECT o.o_w_id, o.o_d_id, o.promised, l.found
        FROM (SELECT o_w_id, o_d_id, SUM(o_ol_cnt) AS promised FROM orders GROUP BY o_w_id, o_d_id) o
        JOIN (SELECT ol_w_id, ol_d_id, COUNT(*) AS found FROM order_line GROUP BY ol_w_id, ol_d_id) l
        ON l.ol_w_id = o.o_w_id AND l.ol_d_id = o.o_d_id WHERE o.promised <> l.found""",
    "5: orders without a carrier wait": """
        SELECT o_w_id, o_d_id, o_id FROM orders LEFT JOIN new_order
        ON no_w_id = o_w_id AND no_d_id = o_d_id AND no_o_id = o_id
        WHERE (o_carrier_id IS NULL) <> (no_o_id IS NOT NULL)""",
}


def violations(session: Session) -> dict[str, list[tuple[object, ...]]]:
    """What does not hold, by condition; empty when all is well."""
    found = {name: session.run(sql) for name, sql in CONDITIONS.items()}
    return {name: rows for name, rows in found.items() if rows}


def books(session: Session) -> dict[str, object]:
    """Sums over all shards."""
    return {
        "orders": _value(session, "SELECT COUNT(*) FROM orders"),
        "waiting": _value(session, "SELECT COUNT(*) FROM new_order"),
        "lines": _value(session, "SELECT COUNT(*) FROM order_line"),
        "quantity": _value(session, "SELECT SUM(ol_quantity) FROM order_line"),
        "supplied": _value(session, "SELECT SUM(s_ytd) FROM stock"),
        "payments": _value(session, "SELECT COUNT(*) FROM history"),
        "paid": _value(session, "SELECT SUM(h_amount) FROM history"),
        "paid by customers": _value(session, "SELECT SUM(c_ytd_payment) FROM customer"),
        "paid to districts": _value(session, "SELECT SUM(d_ytd) FROM district"),
        "balances": _value(session, "SELECT SUM(c_balance) FROM customer"),
        "delivered": _value(session, "SELECT SUM(ol_amount) FROM order_line WHERE ol_delivery_d IS NOT NULL"),
    }


def expected(before: dict[str, object], tally: Tally, after: dict[str, object]) -> dict[str, object]:
    """What the books must say after the work, by what terminals know to be committed.

    What has been delivered is known to the tables only; the customers' balances must agree with it (3.3.2.12).
    """
    orders = tally.done.get("new_order", 0) - tally.rolled_back
    paid = _decimal(before["paid"]) + tally.paid
    return {
        "orders": _int(before["orders"]) + orders,
        "waiting": _int(before["waiting"]) + orders - tally.deliveries,
        "lines": _int(before["lines"]) + tally.lines,
        "quantity": _int(before["quantity"]) + tally.quantity,
        "supplied": _int(before["supplied"]) + tally.quantity,
        "payments": _int(before["payments"]) + tally.done.get("payment", 0),
        "paid": paid,
        "paid by customers": paid,
        "paid to districts": paid,
        "balances": _decimal(after["delivered"]) - paid,
        "delivered": after["delivered"],
    }


def _value(session: Session, sql: str) -> object:
    (value,) = session.one(sql)
    return value


def _int(value: object) -> int:
    assert isinstance(value, int | Decimal)
    return int(value)


def _decimal(value: object) -> Decimal:
    assert isinstance(value, int | Decimal)
    return Decimal(value)
