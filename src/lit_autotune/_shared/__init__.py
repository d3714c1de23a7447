"""What any part may use: words, sizes, records, figures, import strings.

It imports ``errors``.
"""
