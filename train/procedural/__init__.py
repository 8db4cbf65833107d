"""Procedural photographs."""
