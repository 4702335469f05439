"""The systemd service of a detector on a board: hardened, watched, restarted on failure; alarms go to the journal."""

from __future__ import annotations

STATE = "/var/lib/sanderling"  # docs/slots.md calls it S
# The confirmed runner decides before every start which slot runs, with the rights to write that down; what it starts
# has none. Where samples come from is the board's business: /etc/sanderling/NAME.env may set SANDERLING_INPUT and
# SANDERLING_OPTIONS. --live: an input that is silent or away is waited for, and STATUS= says which it is.
TEMPLATE = """\
[Unit]
Description=Sanderling anomaly detector {name}
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
WatchdogSec=30
Restart=always
RestartSec=2
TimeoutStopSec=10
Environment=SANDERLING_INPUT=/run/sanderling-{name}/samples
Environment=SANDERLING_OPTIONS=
EnvironmentFile=-/etc/sanderling/{name}.env
ExecStartPre=+{state}/bin/sanderling-run slot next --state {state}
ExecStartPre=-/usr/bin/mkfifo -m 0660 /run/sanderling-{name}/samples
ExecStart={state}/current/sanderling-run --live $SANDERLING_OPTIONS --input ${{SANDERLING_INPUT}} {model}
StateDirectory=sanderling-{name}
RuntimeDirectory=sanderling-{name}
RuntimeDirectoryPreserve=yes
DynamicUser=yes
SupplementaryGroups=dialout
ProtectSystem=strict
ProtectHome=yes
ProtectProc=invisible
ProcSubset=pid
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
PrivateNetwork=yes
PrivateTmp=yes
PrivateIPC=yes
DevicePolicy=closed
DeviceAllow=char-ttyUSB r
DeviceAllow=char-ttyACM r
DeviceAllow=char-ttyAMA r
DeviceAllow=char-ttyS r
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources @mount
SystemCallErrorNumber=EPERM
UMask=0077
MemoryMax=256M
TasksMax=16

[Install]
WantedBy=multi-user.target
"""


def unit_file(name: str) -> str:
    """The unit of the bundle `name` (checked as bundles' names are). systemd-analyze security: see docs/bundle.md."""
    return TEMPLATE.format(name=name, state=STATE, model=f"{STATE}/current/model.gguf")
