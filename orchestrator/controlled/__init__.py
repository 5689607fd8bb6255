"""Databases under the explorer's control: drivers that switch, what statements touch, and rows put back."""
