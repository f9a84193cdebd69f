"""Gaussian random-field structures and their match with a micrograph."""
