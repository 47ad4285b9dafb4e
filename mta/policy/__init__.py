"""May this be sent? The first refusal wins; headers are set right."""
