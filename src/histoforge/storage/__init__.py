"""Locations to read files from and write them to: folders, and S3 buckets through the minio client."""

from histoforge.storage.location import Entry, Location
from histoforge.storage.opening import digest_of_source, open_location
from histoforge.storage.writing import check_writable

__all__ = ["Entry", "Location", "check_writable", "digest_of_source", "open_location"]
