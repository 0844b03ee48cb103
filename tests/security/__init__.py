"""Every kind of input the house must withstand, judged by the same invariants. Begin with `judging`."""

import pytest

pytest.register_assert_rewrite("tests.security.judging", "tests.security.answers")
