"""Files: read with limits, written whole or not at all, staged, linked and locked."""

from rollbuild.files.linking import (
    copy_file,
    copy_symlink,
    digest_file,
    link_file,
    link_names,
    link_tree,
    make_folder,
    walk_tree,
)
from rollbuild.files.locking import locked
from rollbuild.files.reading import explain_os_error, explained, read_limited
from rollbuild.files.staging import staged_files, staged_folder
from rollbuild.files.system import system_path, system_root
from rollbuild.files.writing import write_atomically, write_folder, write_many

__all__ = [
    "copy_file",
    "copy_symlink",
    "digest_file",
    "explain_os_error",
    "explained",
    "link_file",
    "link_names",
    "link_tree",
    "locked",
    "make_folder",
    "read_limited",
    "staged_files",
    "staged_folder",
    "system_path",
    "system_root",
    "walk_tree",
    "write_atomically",
    "write_folder",
    "write_many",
]
