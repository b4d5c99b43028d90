"""The report of latency bags: repeats, agreement of policies, tables, figures and a page."""
