"""Tests of acclimate_hub."""
