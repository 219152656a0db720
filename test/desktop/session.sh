# A desktop session on a virtual screen: PCManFM shows the folder M, opens a text file, copies a file
# in from the disk with the clipboard, and trashes one. Results are checked in the folder itself;
# screenshots go to T. Run inside of dbus-run-session, with M (on the mount) and T (on the disk).
set -euo pipefail
export HOME="$T/home" XDG_RUNTIME_DIR="$T/run" DISPLAY=":$SCREEN" LC_ALL=C.UTF-8
export XDG_DATA_HOME="$HOME/.local/share" XDG_CONFIG_HOME="$HOME/.config"
mkdir -p "$HOME" "$XDG_DATA_HOME" "$XDG_CONFIG_HOME/libfm"
mkdir -p -m 700 "$XDG_RUNTIME_DIR"
# Services that the bus starts are to work in this home too.
dbus-update-activation-environment HOME XDG_RUNTIME_DIR XDG_DATA_HOME XDG_CONFIG_HOME DISPLAY
# No question before trashing; files are opened with one click less to guess about.
printf '[config]\nsingle_click=0\nuse_trash=1\nconfirm_del=0\nconfirm_trash=0\n' \
  >"$XDG_CONFIG_HOME/libfm/libfm.conf"
# What "open" does with a text file: a program that keeps what it was given.
mkdir -p "$XDG_DATA_HOME/applications"
printf '#!/bin/sh\ncat "$1" >"%s/opened"\n' "$T" >"$T/reader"
chmod 755 "$T/reader"
printf '[Desktop Entry]\nType=Application\nName=Reader\nExec=%s %%f\nMimeType=text/plain;\n' \
  "$T/reader" >"$XDG_DATA_HOME/applications/reader.desktop"
printf '[MIME Cache]\ntext/plain=reader.desktop;\n' >"$XDG_DATA_HOME/applications/mimeinfo.cache"
printf '[Default Applications]\ntext/plain=reader.desktop\n' >"$XDG_CONFIG_HOME/mimeapps.list"
wait_for() { # wait_for SECONDS COMMAND...
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.2
  done
}
fail() {
  import -window root "$T/failed.png" || true
  echo "FAILED: $*" >&2
  exit 1
}

Xvfb "$DISPLAY" -screen 0 1000x700x24 -nolisten tcp >"$T/xvfb" 2>&1 &
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
wait_for 20 xdotool getdisplaygeometry >/dev/null 2>&1 || fail "no screen"

mkdir "$M/Documents" "$M/Pictures" "$M/Outdated"
printf 'a letter\n' >"$M/Documents/letter.txt"
printf 'to be trashed\n' >"$M/Outdated/old.txt"
/usr/bin/python3 - "$M/Pictures" <<'PYTHON'
import struct, sys, zlib

def chunk(kind, data):
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

for n in range(3):
    rows = b''.join(b'\0' + b''.join(bytes((x * (n + 1) // 3 % 256, y % 256, 90 * n))
                                     for x in range(640)) for y in range(480))
    head = struct.pack('>IIBBBBB', 640, 480, 8, 2, 0, 0, 0)
    with open(f'{sys.argv[1]}/photo{n}.png', 'wb') as file:
        file.write(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', head) +
                   chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b''))
PYTHON
mkdir "$T/outside"
printf 'copied by the file manager\n' >"$T/outside/from-disk.txt"

pcmanfm --no-desktop "$M" >"$T/pcmanfm" 2>&1 &
has_window() { xdotool search --onlyvisible --class pcmanfm >/dev/null 2>&1; }
wait_for 30 has_window || fail "no window: $(cat "$T/pcmanfm")"
window=$(xdotool search --onlyvisible --class pcmanfm | tail -1)
xdotool windowsize "$window" 1000 700
sleep 2
import -window root "$T/listing.png"

# There is no window manager, so everything happens in one window; its keys are a person's keys.
press() { # press KEYS...
  for key in "$@"; do
    xdotool windowfocus "$window" 2>/dev/null || true
    xdotool key --clearmodifiers "$key"
    sleep 0.3
  done
}
go_to() { # go_to FOLDER: by the location bar
  press ctrl+l ctrl+a
  xdotool type --delay 15 "$1"
  press Return
  sleep 1.5
  # Back from the location bar to the list of files: a click where none is.
  xdotool mousemove 700 600 click 1
  sleep 0.3
}

go_to "$T/outside"
press ctrl+a ctrl+c
go_to "$M"
press ctrl+v
wait_for 15 test -s "$M/from-disk.txt" || fail "the file was not copied in"
sleep 1
cmp "$T/outside/from-disk.txt" "$M/from-disk.txt" || fail "the copy differs"
import -window root "$T/copied.png"

go_to "$M/Documents"
xdotool mousemove 206 100 click --repeat 2 --delay 80 1
wait_for 15 test -s "$T/opened" || fail "the letter was not opened"
[ "$(cat "$T/opened")" = "a letter" ] || fail "something else was opened"

# Trash: a folder with only the file to be trashed.
go_to "$M/Outdated"
press ctrl+a Delete
trashed() { [ ! -e "$M/Outdated/old.txt" ]; }
wait_for 15 trashed || fail "the file was not trashed"
import -window root "$T/trashed.png"
[ "$(cat "$M"/.Trash-*/files/old.txt)" = "to be trashed" ] || fail "it is not in the mount's trash"

# A thumbnailer reads the pictures and leaves them as they are.
before=$(cd "$M/Pictures" && sha256sum ./*.png)
go_to "$M/Pictures"
dbus-send --session --print-reply --dest=org.freedesktop.thumbnails.Thumbnailer1 \
  /org/freedesktop/thumbnails/Thumbnailer1 org.freedesktop.thumbnails.Thumbnailer1.Queue \
  "array:string:file://$M/Pictures/photo0.png,file://$M/Pictures/photo1.png" \
  array:string:image/png,image/png string:normal string:default uint32:0 >"$T/queued" 2>&1 ||
  fail "the thumbnailer cannot be asked: $(cat "$T/queued")"
has_thumbnails() { [ "$(find "$HOME" -path '*thumbnails/normal/*.png' | wc -l)" -ge 2 ]; }
wait_for 20 has_thumbnails || fail "no thumbnail was made"
import -window root "$T/pictures.png"
[ "$before" = "$(cd "$M/Pictures" && sha256sum ./*.png)" ] || fail "the pictures changed"
