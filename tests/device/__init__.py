"""Tests of acclimate_device."""
