"""Reading of recorded messages: rate and memory."""

MESSAGES, ROUNDS, INTAKE_ROUNDS = 1_000_000, 5, 60
QUICK_MESSAGES, QUICK_ROUNDS, QUICK_INTAKE_ROUNDS = 20_000, 1, 5
