"""Why a file is not taken."""

from sav.domain.errors import SavError


class FileTypeNotAllowed(SavError):
    """Files of this kind are not taken: send a picture, a PDF, an office document or a text."""

    code = "file_type_not_allowed"


class FileUnsafe(FileTypeNotAllowed):
    """This file could do more than be read, or cannot be looked into."""

    code = "file_unsafe"
