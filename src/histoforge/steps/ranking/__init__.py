"""The parts of `leaderboard`: the generators with their scores, their downstream classifiers, and the common map."""
