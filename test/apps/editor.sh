# title: an editor's save (write beside, fsync, rename over) is never seen half done
. "${0%/*}/lib.sh"
cd "$M"
seq 1 5000 >text
chmod 640 text
chown 1000:1000 text
setfattr -n user.tag -v kept text
for how in yes no auto; do
  vim -u NONE -N -es -c "set backupcopy=$how writebackup fsync" -c "%s/^/$how /" -c wq text ||
    fail "vim with backupcopy=$how"
  same "$(stat -c '%a %u:%g' text)" "640 1000:1000" "attributes after backupcopy=$how"
done
same "$(sed -n 4999p text)" "auto no yes 4999" "a line after three saves"
same "$(wc -l <text)" 5000 "lines"
same "$(ls -A)" text "files left by the editor"
/usr/bin/python3 - <<'PYTHON'
import os
versions = [(f'version {i:03} '.encode() * (2000 + i * 13)) for i in range(150)]

def save(data):
    fd = os.open('note.tmp', os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    os.write(fd, data)
    os.fsync(fd)
    os.close(fd)
    os.rename('note.tmp', 'note')
    parent = os.open('.', os.O_RDONLY)
    os.fsync(parent)
    os.close(parent)

save(versions[0])
reader = os.fork()
if reader == 0:
    seen = 0
    while seen < len(versions) - 1:
        with open('note', 'rb') as file:
            data = file.read()
        number = int(data[8:11])
        if data != versions[number] or number < seen:
            os._exit(1)
        seen = number
    os._exit(0)
for version in versions[1:]:
    save(version)
assert os.waitpid(reader, 0)[1] == 0, 'a reader saw a half-done save'
assert sorted(os.listdir('.')) == ['note', 'text'], os.listdir('.')
PYTHON
