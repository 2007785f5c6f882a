"""A bench folder's files: where each lies, its columns, reading and writing it, which rows may be compared."""
