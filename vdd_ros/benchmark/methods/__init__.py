"""Methods side by side: trained, exported, rolled out, tabulated."""
