"""The tables. Names are the keys: a rename cascades, and no list of hosts needs a join.

A column is NULL only where nothing is said and a unique or foreign key would count "" as a value.
A change here needs a new revision in migrations/versions; a test compares the two.
"""

from typing import Any

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

# The last revision of migrations/versions.
REVISION = "0002"

# Names of constraints must not depend on the database, or no migration could drop one.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

BOOT_ACTIONS = ("os", "install", "rescue")
SCOPES = ("global", "os", "appliance", "rack", "host")


def _text(name: str, default: str = "") -> Column[str]:
    return Column(name, Text, nullable=False, server_default=default)


def _number(name: str, default: int = 0) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default=str(default))


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False, server_default="0")


def _time(name: str) -> Column[float]:
    """UTC, seconds since 1970; 0 is never."""
    return Column(name, Float, nullable=False, server_default="0")


def _refers(name: str, target: str, ondelete: str, **options: Any) -> Column[str]:
    return Column(name, String(128), ForeignKey(target, onupdate="CASCADE", ondelete=ondelete), **options)


def _one_of(column: str, words: tuple[str, ...]) -> CheckConstraint:
    spelled = ", ".join(f"'{word}'" for word in words)
    return CheckConstraint(f"{column} IN ({spelled})", name=column)


appliances = Table(
    "appliances",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("membership", String(128), nullable=False, unique=True),
    _text("graph", "default"),
    _text("root"),
    _flag("is_public"),
    _text("os", "linux"),
)

networks = Table(
    "networks",
    metadata,
    Column("name", String(128), primary_key=True),
    _text("address"),
    _text("netmask"),
    _number("mtu", 1500),
    Column("zone", String(255), unique=True),
    _flag("serves_dns"),
)

boot_actions = Table(
    "boot_actions",
    metadata,
    Column("label", String(128), primary_key=True),
    _text("kernel"),
    _text("ramdisk"),
    _text("args"),
)

hosts = Table(
    "hosts",
    metadata,
    Column("name", String(128), primary_key=True),
    _refers("appliance", "appliances.name", "RESTRICT", nullable=False, index=True),
    Column("rack", Integer, nullable=False, index=True),
    Column("rank", Integer, nullable=False),
    _number("cpus", 1),
    _text("arch", "x86_64"),
    _text("os", "linux"),
    _refers("run_action", "boot_actions.label", "RESTRICT"),
    _refers("install_action", "boot_actions.label", "RESTRICT"),
    _text("boot_action", "os"),
    _text("held"),
    # The newest install of before it was last told to install: attempts count from there.
    _number("attempts_after"),
    _text("comment"),
    Column("changed", Integer, nullable=False, server_default="0", index=True),
    _one_of("boot_action", BOOT_ACTIONS),
)

interfaces = Table(
    "interfaces",
    metadata,
    _refers("host", "hosts.name", "CASCADE", nullable=False),
    Column("device", String(64), nullable=False),
    Column("mac", String(64), unique=True),
    Column("address", String(64), unique=True),
    _refers("network", "networks.name", "RESTRICT", index=True),
    Column("name", String(128), index=True),
    _text("module"),
    Column("vlan", Integer),
    _text("options"),
    _text("channel"),
    PrimaryKeyConstraint("host", "device"),
)

aliases = Table(
    "aliases",
    metadata,
    Column("name", String(128), primary_key=True),
    _refers("host", "hosts.name", "CASCADE", nullable=False, index=True),
)

routes = Table(
    "routes",
    metadata,
    Column("scope", String(16), nullable=False),
    Column("key", String(128), nullable=False),
    Column("destination", String(64), nullable=False),
    _text("gateway"),
    _refers("network", "networks.name", "RESTRICT"),
    PrimaryKeyConstraint("scope", "key", "destination"),
    _one_of("scope", SCOPES),
)

# The key is the name of an OS, appliance, rack or host, and "" for a global one.
attributes = Table(
    "attributes",
    metadata,
    Column("scope", String(16), nullable=False),
    Column("key", String(128), nullable=False),
    Column("name", String(128), nullable=False),
    _text("value"),
    PrimaryKeyConstraint("scope", "key", "name"),
    _one_of("scope", SCOPES),
)

# Tokens are stored as SHA-256 in hexadecimal: who reads the database cannot fetch with it.
installs = Table(
    "installs",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    _refers("host", "hosts.name", "CASCADE", nullable=False, index=True),
    Column("token_hash", String(64), unique=True),
    Column("url_token_hash", String(64), unique=True),
    _text("address"),
    _text("state"),
    _text("stage"),
    _text("detail"),
    _time("created"),
    _time("given"),
    _time("last_event"),
    _time("finished"),
    _number("fetches"),
    _number("secrets_given"),
)

install_events = Table(
    "install_events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    _refers("host", "hosts.name", "CASCADE", nullable=False, index=True),
    Column("install", Integer, ForeignKey("installs.id", ondelete="CASCADE")),
    _time("time"),
    _text("stage"),
    _text("detail"),
)

discoveries = Table(
    "discoveries",
    metadata,
    Column("mac", String(64), primary_key=True),
    _time("first_seen"),
    _time("last_seen"),
    _text("vendor"),
    _text("arch"),
    _number("times"),
    _text("state", "waiting"),
    _text("address"),
    _text("appliance"),
    _text("host"),
    _one_of("state", ("waiting", "approved", "denied")),
)

vms = Table(
    "vms",
    metadata,
    _refers("host", "hosts.name", "CASCADE", primary_key=True),
    _refers("container", "hosts.name", "RESTRICT", nullable=False),
    Column("slice", Integer, nullable=False),
    _number("memory", 1024),  # MiB
    _text("virt_type"),
    _text("state"),
    _text("saved"),
    UniqueConstraint("container", "slice"),
)

vm_disks = Table(
    "vm_disks",
    metadata,
    _refers("vm", "vms.host", "CASCADE", nullable=False),
    Column("position", Integer, nullable=False),
    _text("kind", "file"),
    _text("path"),
    Column("device", String(64), nullable=False),
    _text("mode", "w"),
    _number("size_gb"),
    PrimaryKeyConstraint("vm", "device"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    _time("time"),
    _text("user"),
    _text("command"),
    _number("generation"),
)

# generation; rollbuild (the version that last changed the schema); what the front end applied; serials of zones.
settings = Table(
    "settings",
    metadata,
    Column("name", String(128), primary_key=True),
    _text("value"),
)

# The table in which alembic keeps the revision; read here without it, which starts too slowly for every command.
revisions = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))

Index("ix_installs_newest", installs.c.host, installs.c.id)
