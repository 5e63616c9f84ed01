"""Tests that drive several parts together."""
