"""The place for files, made for a desk that has none yet."""

import structlog

from sav.models.attachment_sight import VISIBLE_STATES
from sav.models.tables import Attachment
from sav.storage.object_store import NoPlaceForFiles, ObjectStore

log = structlog.get_logger(__name__)


def ensure_place_for_files(store: ObjectStore) -> None:
    """Like `store.check()`, but makes a bucket that is missing, if there are no files yet.

    Where there are files a missing bucket is a mistake in the settings, which an empty one would hide.
    Raises `StorageUnavailable`.
    """
    try:
        store.check()
    except NoPlaceForFiles:
        if Attachment.select().where(Attachment.state.in_(VISIBLE_STATES)).exists():
            raise
        store.make()
        log.info("made the bucket for files", action="make_bucket")
