"""The tables of the first rollbuild that kept a cluster."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "appliances",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("membership", sa.String(length=128), nullable=False),
        sa.Column("graph", sa.Text(), server_default="default", nullable=False),
        sa.Column("root", sa.Text(), server_default="", nullable=False),
        sa.Column("is_public", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("os", sa.Text(), server_default="linux", nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_appliances")),
        sa.UniqueConstraint("membership", name=op.f("uq_appliances_membership")),
    )
    op.create_table(
        "attributes",
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("value", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint("scope IN ('global', 'os', 'appliance', 'rack', 'host')", name=op.f("ck_attributes_scope")),
        sa.PrimaryKeyConstraint("scope", "key", "name", name=op.f("pk_attributes")),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("time", sa.Float(), server_default="0", nullable=False),
        sa.Column("user", sa.Text(), server_default="", nullable=False),
        sa.Column("command", sa.Text(), server_default="", nullable=False),
        sa.Column("generation", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_table(
        "boot_actions",
        sa.Column("label", sa.String(length=128), nullable=False),
        sa.Column("kernel", sa.Text(), server_default="", nullable=False),
        sa.Column("ramdisk", sa.Text(), server_default="", nullable=False),
        sa.Column("args", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("label", name=op.f("pk_boot_actions")),
    )
    op.create_table(
        "discoveries",
        sa.Column("mac", sa.String(length=64), nullable=False),
        sa.Column("first_seen", sa.Float(), server_default="0", nullable=False),
        sa.Column("last_seen", sa.Float(), server_default="0", nullable=False),
        sa.Column("vendor", sa.Text(), server_default="", nullable=False),
        sa.Column("arch", sa.Text(), server_default="", nullable=False),
        sa.Column("times", sa.Integer(), server_default="0", nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("address", sa.Text(), server_default="", nullable=False),
        sa.Column("appliance", sa.Text(), server_default="", nullable=False),
        sa.Column("host", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint("state IN ('waiting', 'approved', 'denied')", name=op.f("ck_discoveries_state")),
        sa.PrimaryKeyConstraint("mac", name=op.f("pk_discoveries")),
    )
    op.create_table(
        "networks",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("address", sa.Text(), server_default="", nullable=False),
        sa.Column("netmask", sa.Text(), server_default="", nullable=False),
        sa.Column("mtu", sa.Integer(), server_default="1500", nullable=False),
        sa.Column("zone", sa.String(length=255), nullable=True),
        sa.Column("serves_dns", sa.Boolean(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_networks")),
        sa.UniqueConstraint("zone", name=op.f("uq_networks_zone")),
    )
    op.create_table(
        "settings",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("value", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_settings")),
    )
    op.create_table(
        "hosts",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("appliance", sa.String(length=128), nullable=False),
        sa.Column("rack", sa.Integer(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("cpus", sa.Integer(), server_default="1", nullable=False),
        sa.Column("arch", sa.Text(), server_default="x86_64", nullable=False),
        sa.Column("os", sa.Text(), server_default="linux", nullable=False),
        sa.Column("run_action", sa.String(length=128), nullable=True),
        sa.Column("install_action", sa.String(length=128), nullable=True),
        sa.Column("boot_action", sa.Text(), server_default="os", nullable=False),
        sa.Column("held", sa.Text(), server_default="", nullable=False),
        sa.Column("attempts_after", sa.Integer(), server_default="0", nullable=False),
        sa.Column("comment", sa.Text(), server_default="", nullable=False),
        sa.Column("changed", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("boot_action IN ('os', 'install', 'rescue')", name=op.f("ck_hosts_boot_action")),
        sa.ForeignKeyConstraint(
            ["appliance"], ["appliances.name"], name=op.f("fk_hosts_appliance"), onupdate="CASCADE", ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["install_action"],
            ["boot_actions.label"],
            name=op.f("fk_hosts_install_action"),
            onupdate="CASCADE",
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["run_action"],
            ["boot_actions.label"],
            name=op.f("fk_hosts_run_action"),
            onupdate="CASCADE",
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_hosts")),
    )
    op.create_index(op.f("ix_hosts_appliance"), "hosts", ["appliance"], unique=False)
    op.create_index(op.f("ix_hosts_changed"), "hosts", ["changed"], unique=False)
    op.create_index(op.f("ix_hosts_rack"), "hosts", ["rack"], unique=False)
    op.create_table(
        "routes",
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("destination", sa.String(length=64), nullable=False),
        sa.Column("gateway", sa.Text(), server_default="", nullable=False),
        sa.Column("network", sa.String(length=128), nullable=True),
        sa.CheckConstraint("scope IN ('global', 'os', 'appliance', 'rack', 'host')", name=op.f("ck_routes_scope")),
        sa.ForeignKeyConstraint(
            ["network"], ["networks.name"], name=op.f("fk_routes_network"), onupdate="CASCADE", ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("scope", "key", "destination", name=op.f("pk_routes")),
    )
    op.create_table(
        "aliases",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("host", sa.String(length=128), nullable=False),
        sa.ForeignKeyConstraint(
            ["host"], ["hosts.name"], name=op.f("fk_aliases_host"), onupdate="CASCADE", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_aliases")),
    )
    op.create_index(op.f("ix_aliases_host"), "aliases", ["host"], unique=False)
    op.create_table(
        "installs",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("host", sa.String(length=128), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=True),
        sa.Column("url_token_hash", sa.String(length=64), nullable=True),
        sa.Column("address", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), server_default="", nullable=False),
        sa.Column("stage", sa.Text(), server_default="", nullable=False),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.Column("created", sa.Float(), server_default="0", nullable=False),
        sa.Column("given", sa.Float(), server_default="0", nullable=False),
        sa.Column("last_event", sa.Float(), server_default="0", nullable=False),
        sa.Column("finished", sa.Float(), server_default="0", nullable=False),
        sa.Column("fetches", sa.Integer(), server_default="0", nullable=False),
        sa.Column("secrets_given", sa.Integer(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["host"], ["hosts.name"], name=op.f("fk_installs_host"), onupdate="CASCADE", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installs")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_installs_token_hash")),
        sa.UniqueConstraint("url_token_hash", name=op.f("uq_installs_url_token_hash")),
    )
    op.create_index(op.f("ix_installs_host"), "installs", ["host"], unique=False)
    op.create_index("ix_installs_newest", "installs", ["host", "id"], unique=False)
    op.create_table(
        "interfaces",
        sa.Column("host", sa.String(length=128), nullable=False),
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("mac", sa.String(length=64), nullable=True),
        sa.Column("address", sa.String(length=64), nullable=True),
        sa.Column("network", sa.String(length=128), nullable=True),
        sa.Column("name", sa.String(length=128), nullable=True),
        sa.Column("module", sa.Text(), server_default="", nullable=False),
        sa.Column("vlan", sa.Integer(), nullable=True),
        sa.Column("options", sa.Text(), server_default="", nullable=False),
        sa.Column("channel", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["host"], ["hosts.name"], name=op.f("fk_interfaces_host"), onupdate="CASCADE", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["network"], ["networks.name"], name=op.f("fk_interfaces_network"), onupdate="CASCADE", ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("host", "device", name=op.f("pk_interfaces")),
        sa.UniqueConstraint("address", name=op.f("uq_interfaces_address")),
        sa.UniqueConstraint("mac", name=op.f("uq_interfaces_mac")),
    )
    op.create_index(op.f("ix_interfaces_name"), "interfaces", ["name"], unique=False)
    op.create_index(op.f("ix_interfaces_network"), "interfaces", ["network"], unique=False)
    op.create_table(
        "vms",
        sa.Column("host", sa.String(length=128), nullable=False),
        sa.Column("container", sa.String(length=128), nullable=False),
        sa.Column("slice", sa.Integer(), nullable=False),
        sa.Column("memory", sa.Integer(), server_default="1024", nullable=False),
        sa.Column("virt_type", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["container"], ["hosts.name"], name=op.f("fk_vms_container"), onupdate="CASCADE", ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["host"], ["hosts.name"], name=op.f("fk_vms_host"), onupdate="CASCADE", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_vms")),
        sa.UniqueConstraint("container", "slice", name=op.f("uq_vms_container_slice")),
    )
    op.create_table(
        "install_events",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("host", sa.String(length=128), nullable=False),
        sa.Column("install", sa.Integer(), nullable=True),
        sa.Column("time", sa.Float(), server_default="0", nullable=False),
        sa.Column("stage", sa.Text(), server_default="", nullable=False),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["host"], ["hosts.name"], name=op.f("fk_install_events_host"), onupdate="CASCADE", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["install"], ["installs.id"], name=op.f("fk_install_events_install"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_install_events")),
    )
    op.create_index(op.f("ix_install_events_host"), "install_events", ["host"], unique=False)
    op.create_table(
        "vm_disks",
        sa.Column("vm", sa.String(length=128), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="file", nullable=False),
        sa.Column("path", sa.Text(), server_default="", nullable=False),
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("mode", sa.Text(), server_default="w", nullable=False),
        sa.Column("size_gb", sa.Integer(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["vm"], ["vms.host"], name=op.f("fk_vm_disks_vm"), onupdate="CASCADE", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("vm", "device", name=op.f("pk_vm_disks")),
    )
