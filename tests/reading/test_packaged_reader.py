"""The reader that comes with the package finds clauses, offline."""

import pytest

from bigbird.reading.reader import Reader

CONTRACT = (
    "This Distribution Agreement is made on March 3, 2019 between Acme Tools, Inc., a Delaware corporation, and Nordic "
    "Supply AB. The term of this Agreement begins on the Effective Date and ends on December 31, 2024, unless renewed. "
    "Distributor shall keep insurance of at least $1,000,000 per occurrence. This Agreement shall be governed by the "
    "laws of the State of Ohio, without regard to its conflict of laws rules. Neither party may assign this Agreement "
    "without the prior written consent of the other party.\n\n"
)
CLAUSE = (
    'Highlight the parts (if any) of this contract related to "{}" that should be reviewed by a lawyer. Details: {}'
)
QUESTIONS = {
    "State of Ohio": CLAUSE.format(
        "Governing Law", "Which state/country's law governs the interpretation of the contract?"
    ),
    "assign": CLAUSE.format(
        "Anti-Assignment", "Is consent or notice required of a party if the contract is assigned to a third party?"
    ),
}


@pytest.fixture(scope="module")
def reader():
    return Reader.load("reader", device="cpu")


@pytest.mark.parametrize("expected", QUESTIONS)
def test_a_clause_is_found_in_a_contract(reader, expected):
    answers = reader.ask(CONTRACT, QUESTIONS[expected])
    assert expected in answers.answers[0].text
    assert answers.answers[0].score > answers.no_answer


def test_a_clause_that_is_not_there_is_not_found(reader):
    question = CLAUSE.format("Source Code Escrow", "Is one party required to deposit its source code into escrow?")
    assert reader.ask(CONTRACT, question).no_answer > 0.5
