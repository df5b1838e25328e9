"""Methods to compare the engine with: collaborative filtering and closed-form linear item models.

They need the extra ``compare``. What each is, its source and its figures: ``docs/comparisons.md``.
"""
