"""Which license server and which product an item is meant for, when the mapping and two vendors' attributes speak."""

from __future__ import annotations

import pytest

from licensing_integration.domain.choosing import choose_product
from licensing_integration.domain.servers import Server, Servers
from licensing_integration.domain.store_attributes import read_attributes
from licensing_integration.domain.terms import MappingTerms
from licensing_integration.exceptions import InvalidTerm, ProductNotMapped

LEX, LEX2 = Server(name="lex", kind="cryptlex"), Server(name="lex2", kind="cryptlex")
SPRING = Server(name="spring", kind="licensespring")
OURS = Server(name="ours", kind="licensespring", uuid="A-1")
THEIRS = Server(name="theirs", kind="licensespring", uuid="B")
CODE, ID = {"product_short_code": "photon"}, {"cryptlex_product_id": "id-1"}


def _choose(mapping: MappingTerms, attributes: dict[str, str], *servers: Server) -> tuple[str, str]:
    choice = choose_product(mapping, read_attributes(attributes), servers=Servers(servers))
    return choice.server, choice.product_id


@pytest.mark.parametrize(
    ("mapping", "attributes", "servers", "chosen"),
    [
        # the mapping names the product: its server, else the first one, whatever the attributes say
        (MappingTerms(product_id="p"), {**CODE, **ID}, (SPRING, LEX), ("spring", "p")),
        (MappingTerms(product_id="p", server="lex"), CODE, (SPRING, LEX), ("lex", "p")),
        # the mapping names the server: the attribute of that kind
        (MappingTerms(server="lex"), {**CODE, **ID}, (SPRING, LEX), ("lex", "id-1")),
        (MappingTerms(server="spring"), {**CODE, **ID}, (SPRING, LEX), ("spring", "photon")),
        (MappingTerms(server="own-kind"), CODE, (Server(name="own-kind", kind="x"),), ("own-kind", "photon")),
        # the attributes alone: the first server of their kind
        (MappingTerms(), CODE, (LEX, SPRING), ("spring", "photon")),
        (MappingTerms(), ID, (SPRING, LEX2, LEX), ("lex2", "id-1")),
        # both vendors', but only one of them is here
        (MappingTerms(), {**CODE, **ID}, (LEX,), ("lex", "id-1")),
        (MappingTerms(), {**CODE, **ID}, (SPRING,), ("spring", "photon")),
        # the account named by uuid
        (MappingTerms(), {**CODE, "uuid": "b"}, (OURS, THEIRS), ("theirs", "photon")),
        (MappingTerms(), {**CODE, "uuid": "b"}, (SPRING, THEIRS), ("theirs", "photon")),
        (MappingTerms(), {**CODE, "uuid": "C"}, (OURS, SPRING), ("spring", "photon")),
        (MappingTerms(), CODE, (OURS, THEIRS), ("ours", "photon")),
        (MappingTerms(server="ours"), {**CODE, "uuid": "C"}, (OURS,), ("ours", "photon")),
    ],
)
def test_server_and_product(mapping, attributes, servers, chosen):
    assert _choose(mapping, attributes, *servers) == chosen


def test_both_vendors_attributes_need_a_mapping_to_choose():
    with pytest.raises(InvalidTerm, match="are both set; choose the license server in a product mapping"):
        _choose(MappingTerms(), {**CODE, **ID}, LEX, SPRING)


@pytest.mark.parametrize(("attributes", "servers"), [(CODE, (LEX,)), (ID, (SPRING,)), (ID, ())])
def test_a_product_of_a_license_server_that_is_not_here_is_not_mapped(attributes, servers):
    with pytest.raises(ProductNotMapped, match="no such license server is configured"):
        _choose(MappingTerms(), attributes, *servers)


@pytest.mark.parametrize(("server", "attributes"), [("spring", ID), ("lex", CODE), ("lex", {})])
def test_a_server_of_the_mapping_without_a_product_of_its_kind_is_not_mapped(server, attributes):
    with pytest.raises(ProductNotMapped, match="names a license server but no product"):
        _choose(MappingTerms(server=server), attributes, LEX, SPRING)


def test_another_account_is_said_so_without_showing_its_key():
    with pytest.raises(InvalidTerm, match="another LicenseSpring account than ours, theirs") as refusal:
        _choose(MappingTerms(), {**CODE, "uuid": "secret-key"}, OURS, THEIRS)
    assert "secret-key" not in str(refusal.value)


def test_each_choice_says_where_it_came_from():
    servers = Servers((LEX, SPRING))
    by_attribute = choose_product(MappingTerms(), read_attributes(CODE), servers=servers)
    assert set(by_attribute.origins.values()) == {"store attribute product_short_code"}
    assert set(by_attribute.origins) == {"server", "product_id"}
    by_both = choose_product(MappingTerms(server="spring"), read_attributes(CODE), servers=servers)
    assert by_both.origins == {"server": "product mapping", "product_id": "store attribute product_short_code"}
