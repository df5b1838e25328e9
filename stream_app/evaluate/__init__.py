"""Evaluation: files of sessions in, methods fitted and asked, figures with their certainty out."""
