"""Tests of acclimate_shared."""
