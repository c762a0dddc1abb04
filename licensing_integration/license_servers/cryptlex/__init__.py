"""Cryptlex Web API v3.

``client`` knows HTTP, paths and paging; ``values`` the JSON; ``converge`` how an existing license is changed;
``backend`` what the rest of the product sees.
"""
