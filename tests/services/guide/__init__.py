"""LicenseSpring's FastSpring guide, row by row, on both license servers."""

import pytest

pytest.register_assert_rewrite("tests.services.guide.selling", "tests.services.guide.proofs")
