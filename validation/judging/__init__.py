"""Verdicts: does a fitted exponent or a bracketed edge agree with a claim?"""
