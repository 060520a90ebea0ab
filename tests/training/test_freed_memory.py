"""Memory that steps of many lengths leave in pieces is given back, and not more often than it pays."""

from bigbird.training.freed_memory import FreedMemory


class Process:
    """Its memory: what stays, what a step uses in passing, and pieces that pile up."""

    def __init__(self, *, stays, in_passing, piles_up):
        self.stays, self.in_passing, self.piles_up = stays, in_passing, piles_up
        self.pieces = self.kept = self.num_given_back = self.most = 0
        self.watch = FreedMemory(self.resident, self.give_back)

    def steps(self, number, *, stays_more=0):
        for _ in range(number):
            self.pieces += self.piles_up
            self.kept = self.in_passing + self.pieces
            self.stays += stays_more
            self.most = max(self.most, self.resident())
            self.watch.after_step()
        return self

    def resident(self):
        return self.stays + self.kept

    def give_back(self):
        self.kept = self.pieces = 0
        self.num_given_back += 1
        return True


def test_pieces_never_pile_up_to_more_than_half_of_what_a_step_uses():
    process = Process(stays=500, in_passing=400, piles_up=20).steps(1000)
    assert process.most <= 500 + 1.5 * 420 + 20
    assert 1000 / 15 < process.num_given_back < 1000 / 5


def test_steps_of_one_length_give_back_once():
    assert Process(stays=500, in_passing=400, piles_up=0).steps(1000).num_given_back == 1


def test_what_stays_may_grow():  # patterns of new lengths are kept
    assert Process(stays=500, in_passing=400, piles_up=0).steps(1000, stays_more=10).num_given_back < 1000 / 15


def test_longer_steps_are_not_taken_for_pieces_for_ever():
    process = Process(stays=500, in_passing=100, piles_up=0).steps(3)
    before, process.in_passing = process.num_given_back, 1000
    assert process.steps(100).num_given_back <= before + 2
