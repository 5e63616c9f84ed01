"""Tests of acclimate_shared.evidence."""
