"""Reading a FAT image: all its files, without a program, a mount or root, whatever somebody put into it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rollbuild.errors import RollbuildError
from rollbuild.location import Location

_MOST_ENTRIES = 20_000
_LARGEST_FOLDER = 2 * 1024 * 1024
_ENTRY = 32
_LONG_NAME, _LABEL, _FOLDER = 0x0F, 0x08, 0x10
_UNFIT = re.compile(r'[\x00-\x1f\x7f"*/:<>?\\|]')


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    is_folder: bool
    cluster: int
    size: int


def read_fat(image: bytes, shown: str) -> dict[str, bytes]:
    """Path -> content of the files of a FAT file system (12, 16 or 32 bits), sorted; `shown` is what errors name.

    Raises RollbuildError when it is none or is damaged: a folder that holds itself, a name that is none, a file that is
    longer than its clusters, files that are together longer than the image.
    """
    return dict(sorted(_Reader(image, shown).files()))


class _Reader:
    """Layout as in Microsoft's `FAT: General Overview of On-Disk Format`, 1.03."""

    def __init__(self, image: bytes, shown: str) -> None:
        self._image, self._shown = image, shown
        sector, self._cluster = _number(image, 11, 2), 0
        per_cluster, reserved, tables = image[13:14], _number(image, 14, 2), image[16:17]
        if sector not in (512, 1024, 2048, 4096) or not reserved or not per_cluster or not tables or not tables[0]:
            raise self._damaged("it is no FAT file system")
        if per_cluster[0].bit_count() != 1:
            raise self._damaged("it is no FAT file system")
        self._cluster = per_cluster[0] * sector
        table = _number(image, 22, 2) or _number(image, 36, 4)
        total = _number(image, 19, 2) or _number(image, 32, 4)
        root_sectors = -(-_number(image, 17, 2) * _ENTRY // sector)
        self._root = (reserved + tables[0] * table) * sector
        self._data = self._root + root_sectors * sector
        self._root_size = root_sectors * sector
        self._count = max(0, total - self._data // sector) // per_cluster[0]
        self._bits = 12 if self._count < 4085 else 16 if self._count < 65525 else 32
        self._table = image[reserved * sector : (reserved + table) * sector]
        self._spent = 0

    def files(self) -> Iterator[tuple[str, bytes]]:
        first = _number(self._image, 44, 4) if self._bits == 32 else 0
        root = self._folder("its top folder", first) if first else self._image[self._root :][: self._root_size]
        waiting, seen, entries = [("", root)], {first}, 0
        while waiting:
            prefix, content = waiting.pop()
            names = set()
            for entry in self._entries(content):
                entries += 1
                path = prefix + entry.name
                if entries > _MOST_ENTRIES:
                    raise self._damaged(f"it has more than {_MOST_ENTRIES:,} entries")
                if entry.name.lower() in names:
                    raise self._damaged(f"two of its files have the name {path!r}")
                names.add(entry.name.lower())
                if not entry.is_folder:
                    yield path, self._file(path, entry)
                    continue
                if entry.cluster in seen:
                    raise self._damaged(f"its folder {path[:200]!r} holds itself")
                seen.add(entry.cluster)
                waiting.append((f"{path}/", self._folder(f"its folder {path[:200]!r}", entry.cluster)))

    def _file(self, path: str, entry: _Entry) -> bytes:
        self._spent += entry.size
        if self._spent > len(self._image):
            raise self._damaged(f"its files are longer than the image itself, at {path!r}")
        content = b"".join(self._clusters(entry.cluster, -(-entry.size // self._cluster)))
        if len(content) < entry.size:
            raise self._damaged(f"the content of {path!r} is cut short")
        return content[: entry.size]

    def _folder(self, what: str, cluster: int) -> bytes:
        content = b"".join(self._clusters(cluster, _LARGEST_FOLDER // self._cluster + 1))
        if not content or len(content) > _LARGEST_FOLDER:
            raise self._damaged(f"{what} has no end" if content else f"{what} is nowhere")
        return content

    def _clusters(self, cluster: int, most: int) -> Iterator[bytes]:
        while most and 2 <= cluster < self._count + 2:
            place = self._data + (cluster - 2) * self._cluster
            yield self._image[place : place + self._cluster]
            cluster, most = self._next(cluster), most - 1

    def _next(self, cluster: int) -> int:
        if self._bits == 12:
            pair = _number(self._table, cluster * 3 // 2, 2)
            return pair >> 4 if cluster & 1 else pair & 0xFFF
        return _number(self._table, cluster * self._bits // 8, self._bits // 8) & 0x0FFF_FFFF

    def _entries(self, folder: bytes) -> Iterator[_Entry]:
        long: dict[int, bytes] = {}
        for place in range(0, len(folder) - _ENTRY + 1, _ENTRY):
            raw = folder[place : place + _ENTRY]
            kind = raw[11]
            if raw[0] == 0:
                return
            if raw[0] == 0xE5:
                long = {}
            elif kind & 0x3F == _LONG_NAME:
                if raw[0] & 0x40:
                    long = {}
                long[raw[0] & 0x1F] = raw[13:14] + raw[1:11] + raw[14:26] + raw[28:32]
            else:
                parts, long = long, {}
                if not kind & _LABEL and raw[:11] not in (b".          ", b"..         "):
                    high = _number(raw, 20, 2) << 16 if self._bits == 32 else 0
                    name = self._name(raw, parts)
                    yield _Entry(name, bool(kind & _FOLDER), high | _number(raw, 26, 2), _number(raw, 28, 4))

    def _name(self, raw: bytes, parts: dict[int, bytes]) -> str:
        check = 0
        for byte in raw[:11]:
            check = ((check >> 1) + ((check & 1) << 7) + byte) & 0xFF
        if parts and sorted(parts) == [*range(1, len(parts) + 1)] and all(part[0] == check for part in parts.values()):
            text = b"".join(parts[number][1:] for number in sorted(parts)).decode("utf-16-le", "replace")
            name = text.partition("\0")[0]
        else:
            base, ending = (text.rstrip(b" ").decode("latin-1") for text in (raw[:8], raw[8:11]))
            # How others than DOS mark short names in lower case.
            base, ending = base.lower() if raw[12] & 8 else base, ending.lower() if raw[12] & 16 else ending
            name = f"{base}.{ending}" if ending else base
        if name in ("", ".", "..") or _UNFIT.search(name):
            raise self._damaged(f"one of its files has a name that is none: {name!r}")
        return name

    def _damaged(self, why: str) -> RollbuildError:
        return RollbuildError(f"the EFI image of this ISO cannot be read: {why}", location=Location(self._shown))


def _number(content: bytes, place: int, length: int) -> int:
    return int.from_bytes(content[place : place + length], "little")
