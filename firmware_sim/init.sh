#!/bin/busybox sh
# The appliance's first process. It mounts the data partition, lets `sanderling-run slot` choose the version, and keeps the
# detector running: samples in, JSON lines out on the same serial port, no login, nothing else.
#
#   /etc/factory.bundle   the version that the image was made with; it comes back when the card holds no whole one
#   /etc/keys             public keys that may sign versions; they are part of the image
#   /boot/sanderling.txt  settings, on the boot partition, which is only ever read
#   /data                 slots and history (docs/slots.md); made anew when its file system is beyond repair
#
# Whatever the card has lost, a detector runs: in the last resort the factory's version, in memory.
export PATH=/bin
busybox mkdir -p /dev /proc /sys /run /boot /data
busybox mount -t devtmpfs none /dev
busybox mount -t proc none /proc
busybox mount -t sysfs none /sys
busybox mount -t tmpfs -o mode=755 none /run
busybox --install -s /bin

HEALTHY=20  # seconds that a version under trial runs before it is kept
LIMIT=30    # seconds without a sign of life until a detector is ended; without a guard the hardware restarts the board

# The header's serial port: the Raspberry's second UART, or the first one of the emulated machine.
PORT=/dev/ttyAMA0
grep -q '^1: uart:1' /proc/tty/driver/serial && PORT=/dev/ttyS1
INPUT=serial DEVICE=auto BAUD=115200 OPTIONS=
STATE=/data
RUNNER=/bin/sanderling-run

say() { # a JSON line: event, note
  printf '{"event": "%s", "note": "%s"}\n' "$1" "$(printf %s "$2" | tr -d '"\\' | tr '\n\t' '  ')" >&8
}

read_settings() {
  while IFS='=' read -r key value; do
    value=$(printf %s "$value" | tr -d '\r')
    case $key in
      input) INPUT=$value ;;
      device) DEVICE=$value ;;
      baud) BAUD=$value ;;
      options) OPTIONS=$value ;;
    esac
  done </boot/sanderling.txt
}

find_card() { # sets CARD to what precedes the partition's number
  for try in $(seq 100); do
    for second in /dev/mmcblk?p2 /dev/vd?2; do
      CARD=${second%2}
      [ -b "$second" ] && return
    done
    usleep 100000
  done
  CARD=
}

mount_data() {
  [ -n "$CARD" ] || return
  e2fsck -p "${CARD}2" >/run/e2fsck 2>&1
  [ $? -lt 4 ] || e2fsck -y "${CARD}2" >/run/e2fsck 2>&1
  mount -t ext4 -o noatime "${CARD}2" /data 2>/run/mount && return
  say data "expected a file system that can be mounted, found: $(tail -n 1 /run/mount); making it anew"
  zcat /etc/data.img.gz | dd of="${CARD}2" bs=1M conv=fsync 2>/run/dd
  mount -t ext4 -o noatime "${CARD}2" /data 2>/run/mount
}

factory() {
  "$RUNNER" slot install /etc/factory.bundle --state "$STATE" --keys /etc/keys --confirmed >/run/slot 2>&1 ||
    say factory "$(tail -n 1 /run/slot)"
}

next_slot() { # sets SLOT to the folder of the version to start
  SLOT=$("$RUNNER" slot next --state "$STATE" 2>/run/slot) && return
  factory
  SLOT=$("$RUNNER" slot next --state "$STATE" 2>/run/slot) && return
  [ "$STATE" = /run/state ] && return 1
  say data "$(tail -n 1 /run/slot); running from memory"
  STATE=/run/state
  mkdir -p "$STATE"
  next_slot
}

confirm_when_healthy() {
  sleep "$HEALTHY"
  [ -e "$STATE/trial" ] || return
  "$RUNNER" slot confirm --state "$STATE" >/run/confirm 2>&1 && say confirmed "$(cat /run/confirm)"
}

detector() { # the chosen version on its input, until it ends
  set -- $OPTIONS $EXTRA "$SLOT/model.gguf"
  guard="$RUNNER guard --watchdog /dev/watchdog --limit $LIMIT -- $SLOT/sanderling-run"
  case $INPUT in
    serial) $guard --input "serial:$DEVICE,baud=$BAUD" "$@" >&8 2>/run/error ;;
    iio) $guard --input "iio:$DEVICE" "$@" >&8 2>/run/error ;;
    stdin) sh "$SLOT/samples.sh" | $guard --live "$@" >&8 2>/run/error ;;
    *) echo "expected input=serial, iio or stdin in sanderling.txt, found '$INPUT'" >/run/error ;;
  esac
}

for module in /lib/*.ko; do insmod "$module" 2>/dev/null; done
stty -F "$PORT" raw -echo 115200
exec 8>"$PORT" # stays open: the first to open a serial port sets it up anew
# The emulator may bring work of its own in a second archive; a card has none.
[ -f /sim/start.sh ] && . /sim/start.sh
find_card
if mount -t vfat -o ro "${CARD}1" /boot 2>/run/mount; then read_settings; else say settings "$(tail -n 1 /run/mount); using the defaults"; fi
case $DEVICE in
  auto) DEVICE=$PORT ;;
  tty*) DEVICE=/dev/$DEVICE ;;
esac
tar -x -f /etc/factory.bundle -C /bin sanderling-run
if ! mount_data; then
  say data "expected a data partition, found none that can be used; running from memory"
  STATE=/run/state
  mkdir -p "$STATE"
fi

while true; do
  if next_slot; then
    detector &
    child=$!
    confirm_when_healthy &
    waiter=$!
    say running "$SLOT $(cut -d' ' -f1 /proc/uptime)"
    wait $child
    kill $waiter 2>/dev/null
    say stopped "$(tail -n 1 /run/error)"
  else
    say error "$(tail -n 1 /run/slot)"
    sleep 5
  fi
  sleep 1
done
