"""What must work whatever check is switched off: a red row proves something only beside an honest sign-in."""

from tests.security.judging import Court


def test_an_honest_holder_signs_in(court: Court) -> None:
    """Once within the test; the one that began before it comes through when the court closes."""
    court.honest_goes_on()
