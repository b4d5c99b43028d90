"""Out-of-distribution detection by a policy's novelty, evaluated."""
