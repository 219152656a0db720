# What bin/up and bin/test share: brings a fresh Debian or Ubuntu to a built checkout. Sourced by
# bash; every step says what it does, skips what is done, and names its log when it fails.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
LOG_DIR=${TMPDIR:-/tmp}
MIN_NODE=20.19.0

say() { printf 'pcfs: %s\n' "$*"; }
fail() {
  printf 'pcfs: FAILED: %s\n' "$*" >&2
  exit 1
}

# step TEXT COMMAND...: runs quietly; a failure shows the end of what the command said.
step() {
  local text=$1 log
  shift
  log=$(mktemp "$LOG_DIR/pcfs-setup.XXXXXX")
  say "$text ..."
  if ! "$@" >"$log" 2>&1; then
    grep -v '^npm warn' "$log" | tail -n 40 >&2
    fail "$text (all of its output: $log)"
  fi
  rm -f "$log"
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -- "$@"; fi
}

check_node() {
  command -v node >/dev/null ||
    fail "Node is not installed; pcfs needs Node >= $MIN_NODE (https://nodejs.org)"
  node -e '
    const [have, want] = [process.versions.node, process.argv[1]].map((v) => v.split(".").map(Number))
    process.exit(have[0] > want[0] || (have[0] === want[0] && have[1] >= want[1]) ? 0 : 1)
  ' "$MIN_NODE" || fail "Node $(node -v) is too old; pcfs needs Node >= $MIN_NODE"
  command -v npm >/dev/null || fail 'npm is not installed; it comes with Node (https://nodejs.org)'
}

# install_packages SET...: the sets are the first column of packages.txt.
install_packages() {
  local missing=() set package
  command -v dpkg-query >/dev/null || {
    say 'not Debian or Ubuntu: install by hand what packaging/packages.txt lists'
    return
  }
  while read -r set package _; do
    case " $* " in *" $set "*) ;; *) continue ;; esac
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
      missing+=("$package")
  done < <(grep -v '^#' "$ROOT/packaging/packages.txt")
  if [ ${#missing[@]} = 0 ]; then
    say 'system packages: all there'
    return
  fi
  [ "$(id -u)" = 0 ] || command -v sudo >/dev/null ||
    fail "these packages are missing and there is no sudo; as root run: apt-get install ${missing[*]}"
  # A lock that another apt holds (a machine that has just started updates itself) is waited for.
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -qq)
  step 'updating the package lists' as_root "${apt[@]}" update
  step "installing ${missing[*]}" as_root "${apt[@]}" install --no-install-recommends "${missing[@]}"
}

# checksum FILE...: one line that changes when any of them, or Node, changes.
checksum() { { node -v; sha256sum "$@"; } | sha256sum | cut -d' ' -f1; }

is_current() { [ "$(cat "$1" 2>/dev/null)" = "$2" ]; }

install_npm() {
  local sum stamp=node_modules/.pcfs-stamp
  if [ -L node_modules ]; then
    say 'npm packages: node_modules is a link, left as it is'
    return
  fi
  sum=$(checksum package-lock.json)
  if is_current "$stamp" "$sum"; then
    say 'npm packages: all there'
    return
  fi
  # No install scripts: every native dependency ships prebuilt binaries, and ours is built below.
  # The locked versions are installed as by 'npm ci', which however refuses a lock file that was
  # made where the registry had no binaries of some dependency for other platforms than Linux.
  step 'installing npm packages (some 500 MB)' \
    npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error
  printf '%s\n' "$sum" >"$stamp"
}

build_native() {
  local sum stamp=native/build/.pcfs-stamp nodedir
  [ -f native/binding.gyp ] || return 0
  sum=$(find native -path native/build -prune -o -type f -print0 | sort -z | xargs -0 cat package-lock.json |
    { node -v; cat; } | sha256sum | cut -d' ' -f1)
  if is_current "$stamp" "$sum"; then
    say 'native part: up to date'
    return
  fi
  # Headers beside the running Node spare node-gyp a download, and fit that Node exactly.
  nodedir=$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")
  if [ -f "$nodedir/include/node/node_api.h" ]; then
    step 'building the native part' npx --no-install node-gyp rebuild -C native --silent \
      --nodedir="$nodedir"
  else
    step 'building the native part' npx --no-install node-gyp rebuild -C native --silent
  fi
  printf '%s\n' "$sum" >"$stamp"
}

build_typescript() {
  local sum stamp=dist/.pcfs-stamp
  sum=$(find src test -type f -name '*.ts' -print0 | sort -z |
    xargs -0 sha256sum package-lock.json tsconfig.json | sha256sum | cut -d' ' -f1)
  if is_current "$stamp" "$sum"; then
    say 'TypeScript part: up to date'
    return
  fi
  # From nothing: what was compiled from a file that is gone would still be run.
  rm -rf dist
  step 'building the TypeScript part' npx --no-install tsc -b
  printf '%s\n' "$sum" >"$stamp"
}

check_fuse() {
  if [ ! -e /dev/fuse ]; then
    as_root modprobe fuse 2>/dev/null || true
    [ -e /dev/fuse ] || fail 'this machine has no /dev/fuse (in a container: start it with --device /dev/fuse --cap-add SYS_ADMIN)'
  fi
  if [ ! -r /dev/fuse ] || [ ! -w /dev/fuse ]; then
    fail '/dev/fuse may not be opened by you; as root run: chmod 666 /dev/fuse'
  fi
}

# setup SET...: everything up to a built checkout.
setup() {
  cd "$ROOT" || fail "cannot enter $ROOT"
  check_node
  install_packages "$@"
  install_npm
  build_native
  build_typescript
}
