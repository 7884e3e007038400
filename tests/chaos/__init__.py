"""Everything fails, at random but repeatably, under clients that keep books: the failure contract is shown to hold.

``make chaos`` runs it for minutes, ``test_chaos`` for seconds. Read ``run`` first.
"""
