"""The operations the emulated Cryptlex API offers."""

from __future__ import annotations

from licensing_integration.sandbox import cryptlex_accounts as accounts
from licensing_integration.sandbox import cryptlex_licenses as licenses
from licensing_integration.sandbox import cryptlex_lists as lists
from licensing_integration.sandbox import cryptlex_schema as schema
from licensing_integration.sandbox import cryptlex_terms as terms
from licensing_integration.sandbox.router import Operation

_LICENSE_READ = ("license:read",)
_LICENSE_WRITE = ("license:write",)
# The published document and the vendor's own integrations disagree on the name: either is accepted.
_TEMPLATE_READ = ("licensePolicy:read", "licenseTemplate:read")

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="GET",
        path="/v3/licenses",
        handler=licenses.list_licenses,
        permissions=_LICENSE_READ,
        filters=lists.LICENSES,
    ),
    Operation(
        method="POST",
        path="/v3/licenses",
        handler=licenses.create_license,
        permissions=_LICENSE_WRITE,
        status=201,
        body=schema.LICENSE_CREATE,
    ),
    Operation(
        method="GET",
        path="/v3/licenses/export",
        handler=licenses.export_licenses,
        permissions=_LICENSE_READ,
        filters=lists.LICENSES,
    ),
    Operation(
        method="GET",
        path="/v3/licenses/subscription-logs",
        handler=terms.list_subscription_logs,
        permissions=_LICENSE_READ,
        filters=lists.SUBSCRIPTION_LOGS,
    ),
    Operation(
        method="GET",
        path="/v3/licenses/subscription-logs/{id}",
        handler=terms.get_subscription_log,
        permissions=_LICENSE_READ,
    ),
    Operation(
        method="DELETE",
        path="/v3/licenses/metadata/{id}",
        handler=licenses.delete_metadata,
        permissions=_LICENSE_WRITE,
        status=204,
    ),
    Operation(
        method="DELETE",
        path="/v3/licenses/meter-attributes/{id}",
        handler=licenses.delete_meter_attribute,
        permissions=_LICENSE_WRITE,
        status=204,
    ),
    Operation(
        method="POST",
        path="/v3/licenses/meter-attributes/{id}/reset",
        handler=licenses.reset_meter_attribute,
        permissions=_LICENSE_WRITE,
    ),
    Operation(method="GET", path="/v3/licenses/{id}", handler=licenses.get_license, permissions=_LICENSE_READ),
    Operation(
        method="PATCH",
        path="/v3/licenses/{id}",
        handler=licenses.update_license,
        permissions=_LICENSE_WRITE,
        body=schema.LICENSE_UPDATE,
    ),
    Operation(
        method="DELETE",
        path="/v3/licenses/{id}",
        handler=licenses.delete_license,
        permissions=_LICENSE_WRITE,
        status=204,
    ),
    Operation(method="POST", path="/v3/licenses/{id}/renew", handler=terms.renew_license, permissions=_LICENSE_WRITE),
    Operation(
        method="PATCH",
        path="/v3/licenses/{id}/subscription",
        handler=terms.set_subscription,
        permissions=_LICENSE_WRITE,
        body=schema.LICENSE_SUBSCRIPTION,
    ),
    Operation(
        method="PATCH",
        path="/v3/licenses/{id}/expires-at",
        handler=terms.set_expires_at,
        permissions=_LICENSE_WRITE,
        body=schema.LICENSE_EXPIRES_AT,
    ),
    Operation(
        method="POST",
        path="/v3/licenses/{id}/extend",
        handler=terms.extend_license,
        permissions=_LICENSE_WRITE,
        body=schema.EXTENSION,
    ),
    Operation(
        method="POST",
        path="/v3/licenses/{id}/maintenance/renew",
        handler=terms.renew_maintenance,
        permissions=_LICENSE_WRITE,
    ),
    Operation(
        method="POST",
        path="/v3/licenses/{id}/maintenance/extend",
        handler=terms.extend_maintenance,
        permissions=_LICENSE_WRITE,
        body=schema.EXTENSION,
    ),
    Operation(
        method="PATCH",
        path="/v3/licenses/{id}/maintenance/expires-at",
        handler=terms.set_maintenance_expires_at,
        permissions=_LICENSE_WRITE,
        body=schema.MAINTENANCE_EXPIRES_AT,
    ),
    Operation(
        method="GET",
        path="/v3/licenses/{id}/feature-entitlements",
        handler=accounts.list_license_entitlements,
        permissions=_LICENSE_READ,
        filters=lists.FEATURE_ENTITLEMENTS,
        searchable=False,
    ),
    Operation(
        method="POST",
        path="/v3/licenses/{id}/feature-entitlements",
        handler=accounts.create_license_entitlement,
        permissions=_LICENSE_WRITE,
        body=schema.FEATURE_ENTITLEMENT_CREATE,
    ),
    Operation(
        method="PATCH",
        path="/v3/licenses/{id}/feature-entitlements/{featureEntitlementId}",
        handler=accounts.update_license_entitlement,
        permissions=_LICENSE_WRITE,
        body=schema.FEATURE_ENTITLEMENT_UPDATE,
    ),
    Operation(
        method="DELETE",
        path="/v3/licenses/{id}/feature-entitlements/{featureEntitlementId}",
        handler=accounts.delete_license_entitlement,
        permissions=_LICENSE_WRITE,
        status=204,
    ),
    Operation(
        method="GET",
        path="/v3/users",
        handler=accounts.list_users,
        permissions=("user:read",),
        filters=lists.USERS,
    ),
    Operation(
        method="POST",
        path="/v3/users",
        handler=accounts.create_user,
        permissions=("user:write",),
        status=201,
        body=schema.USER_CREATE,
    ),
    Operation(
        method="DELETE",
        path="/v3/users/metadata/{id}",
        handler=accounts.delete_user_metadata,
        permissions=("user:write",),
        status=204,
    ),
    Operation(method="GET", path="/v3/users/{id}", handler=accounts.get_user, permissions=("user:read",)),
    Operation(
        method="PATCH",
        path="/v3/users/{id}",
        handler=accounts.update_user,
        permissions=("user:write",),
        body=schema.USER_UPDATE,
    ),
    Operation(
        method="DELETE",
        path="/v3/users/{id}",
        handler=accounts.delete_user,
        permissions=("user:write",),
        status=204,
    ),
    Operation(
        method="GET",
        path="/v3/products",
        handler=accounts.list_products,
        permissions=("product:read",),
        filters=lists.PRODUCTS,
    ),
    Operation(method="GET", path="/v3/products/{id}", handler=accounts.get_product, permissions=("product:read",)),
    Operation(
        method="GET",
        path="/v3/license-templates",
        handler=accounts.list_templates,
        permissions=_TEMPLATE_READ,
        filters=lists.CATALOGUE,
    ),
    Operation(
        method="GET", path="/v3/license-templates/{id}", handler=accounts.get_template, permissions=_TEMPLATE_READ
    ),
    Operation(
        method="GET",
        path="/v3/entitlement-sets",
        handler=accounts.list_entitlement_sets,
        permissions=("entitlementSet:read",),
        filters=lists.ENTITLEMENT_SETS,
    ),
    Operation(
        method="GET",
        path="/v3/entitlement-sets/{id}",
        handler=accounts.get_entitlement_set,
        permissions=("entitlementSet:read",),
    ),
    Operation(
        method="GET",
        path="/v3/entitlement-sets/{id}/feature-entitlements",
        handler=accounts.list_set_entitlements,
        permissions=("entitlementSet:read",),
        filters=lists.FEATURE_ENTITLEMENTS,
        searchable=False,
    ),
    Operation(
        method="GET",
        path="/v3/features",
        handler=accounts.list_features,
        permissions=("feature:read",),
        filters=lists.CATALOGUE,
    ),
    Operation(method="GET", path="/v3/features/{id}", handler=accounts.get_feature, permissions=("feature:read",)),
    Operation(
        method="GET",
        path="/v3/maintenance-policies",
        handler=accounts.list_maintenance_policies,
        permissions=("maintenancePolicy:read",),
        filters=lists.CATALOGUE,
    ),
    Operation(
        method="GET",
        path="/v3/maintenance-policies/{id}",
        handler=accounts.get_maintenance_policy,
        permissions=("maintenancePolicy:read",),
    ),
    Operation(method="GET", path="/v3/personal-access-tokens", handler=accounts.list_tokens, filters=lists.CATALOGUE),
    Operation(method="GET", path="/v3/personal-access-tokens/{id}", handler=accounts.get_token),
    Operation(method="GET", path="/v3/roles/claims", handler=accounts.list_claims),
    Operation(method="GET", path="/v3/me", handler=accounts.get_profile),
    Operation(method="GET", path="/v3/status", handler=accounts.get_status, is_public=True),
)

ALL_PERMISSIONS = frozenset(permission for operation in OPERATIONS for permission in operation.permissions)
