"""Commands of the front door that belong to no single verb; nothing imports these."""
