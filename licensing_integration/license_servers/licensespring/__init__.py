"""LicenseSpring Management API v1.

``client`` knows HTTP, paths and paging; ``values`` the JSON; ``orders`` what an order for a new license says;
``converge`` how an existing license is changed; ``backend`` what the rest of the product sees.
"""
