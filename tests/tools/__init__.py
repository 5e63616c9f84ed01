"""Tests of acclimate_tools."""
