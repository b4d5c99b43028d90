"""How well a policy's novelty tells what is new."""
