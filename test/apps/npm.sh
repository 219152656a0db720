# title: npm installs a real package tree, equal to the one on the disk, and it runs
. "${0%/*}/lib.sh"
export npm_config_cache="${NPM_CACHE:-$(HOME=~root npm config get cache 2>/dev/null)}"
export npm_config_update_notifier=false
cp "$PROJECT/.npmrc" "$T/.npmrc" 2>/dev/null || true
cat >"$T/package.json" <<'JSON'
{ "name": "tree", "private": true, "type": "module",
  "dependencies": { "yargs": "18.2.0", "pino": "10.4.0", "fast-check": "4.10.2",
    "prettier": "3.10.1", "compact-encoding": "3.5.2", "hyperbee": "2.27.3" } }
JSON
mkdir "$T/app" "$M/app"
cp "$T/package.json" "$T/app/"
cp "$T/package.json" "$M/app/"
quiet=(--prefer-offline --no-audit --no-fund --ignore-scripts --loglevel=error)
(cd "$T/app" && npm install "${quiet[@]}" >"$T/out" 2>&1) || fail "on the disk: $(tail -5 "$T/out")"
cp "$T/app/package-lock.json" "$M/app/"
(cd "$M/app" && npm ci "${quiet[@]}" >"$T/out" 2>&1) || fail "npm ci: $(tail -5 "$T/out")"
diff -r --no-dereference "$T/app/node_modules" "$M/app/node_modules" >&2 || fail "trees differ"
cd "$M/app"
echo "const  a=1" >x.js
same "$(node_modules/.bin/prettier --no-semi x.js)" "const a = 1" "prettier's answer"
cat >main.js <<'JS'
import fc from 'fast-check'
import yargs from 'yargs'
import c from 'compact-encoding'
fc.assert(fc.property(fc.string(), (s) => c.decode(c.string, c.encode(c.string, s)) === s))
console.log(yargs(['--n', '7']).parse().n)
JS
same "$(node main.js)" 7 "the program's answer"
npm uninstall "${quiet[@]}" prettier >"$T/out" 2>&1 || fail "uninstall: $(tail -5 "$T/out")"
[ ! -e node_modules/prettier ] || fail "prettier is still there"
rm -rf node_modules
same "$(ls)" "$(printf 'main.js\npackage-lock.json\npackage.json\nx.js')" "what is left"
