/*
 * Exercises one file with seeded random operations of every kind that moves bytes, against a copy of
 * the file in memory: "exercise FILE SEED SECONDS MAXBYTES". Every read, however it is made, must give
 * what the copy has. On a difference it prints the last operations and exits with 1; the same seed
 * repeats the run (the number of operations then depends on the time only).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HISTORY 40
#define PAGE 4096

static uint64_t state;
static uint64_t max_bytes;
static uint8_t *model;
static uint64_t model_size;
static uint8_t *scratch;
static const char *path;
static int fd;
static int direct_fd = -1;
static uint64_t operations;
static char history[HISTORY][160];

static uint64_t next_random(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

static uint64_t below(uint64_t bound) { return bound == 0 ? 0 : next_random() % bound; }

static void note(const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(history[operations % HISTORY], sizeof history[0], format, args);
  va_end(args);
}

static void fail(const char *what) {
  fprintf(stderr, "%s in operation %llu (errno %d); the last operations:\n", what,
          (unsigned long long)operations, errno);
  for (uint64_t i = operations >= HISTORY ? operations - HISTORY + 1 : 0; i <= operations; i++)
    fprintf(stderr, "  %llu: %s\n", (unsigned long long)i, history[i % HISTORY]);
  exit(1);
}

static void compare(const uint8_t *got, uint64_t from, uint64_t length, const char *what) {
  for (uint64_t i = 0; i < length; i++) {
    uint8_t want = from + i < model_size ? model[from + i] : 0;
    if (got[i] == want) continue;
    fprintf(stderr, "byte %llu is %02x, expected %02x\n", (unsigned long long)(from + i), got[i],
            want);
    errno = 0;
    fail(what);
  }
}

/* A random range: small or large, often at a block's edge. */
static void choose_range(uint64_t *from, uint64_t *length, uint64_t limit) {
  uint64_t kind = below(4);
  *length = 1 + (kind == 0 ? below(200) : kind == 1 ? below(PAGE * 3) : below(limit / 4 + 1));
  *from = below(limit);
  if (below(3) == 0) *from &= ~(uint64_t)(below(2) ? PAGE - 1 : 65535);
  if (*from + *length > limit) *length = limit - *from;
  if (*length == 0) *length = 1, *from = limit - 1;
}

static void grow_model(uint64_t size) {
  if (size <= model_size) return;
  memset(model + model_size, 0, size - model_size);
  model_size = size;
}

static void fill_scratch(uint64_t length) {
  uint64_t word = next_random();
  for (uint64_t i = 0; i < length; i++) scratch[i] = (uint8_t)(word >> (i % 7 * 8)) ^ (uint8_t)i;
}

static void do_write(void) {
  uint64_t from, length;
  choose_range(&from, &length, max_bytes);
  fill_scratch(length);
  note("write %llu +%llu", (unsigned long long)from, (unsigned long long)length);
  if (pwrite(fd, scratch, length, (off_t)from) != (ssize_t)length) fail("write");
  grow_model(from + length);
  memcpy(model + from, scratch, length);
}

static void do_append(void) {
  uint64_t length = 1 + below(9000);
  if (model_size + length > max_bytes) return;
  fill_scratch(length);
  note("append %llu +%llu", (unsigned long long)model_size, (unsigned long long)length);
  int append = open(path, O_WRONLY | O_APPEND);
  if (append < 0 || write(append, scratch, length) != (ssize_t)length) fail("append");
  close(append);
  uint64_t at = model_size;
  grow_model(at + length);
  memcpy(model + at, scratch, length);
}

static void do_read(void) {
  uint64_t from, length;
  choose_range(&from, &length, max_bytes);
  note("read %llu +%llu", (unsigned long long)from, (unsigned long long)length);
  ssize_t got = pread(fd, scratch, length, (off_t)from);
  uint64_t want = from >= model_size ? 0 : model_size - from < length ? model_size - from : length;
  if (got < 0 || (uint64_t)got != want) fail("length of a read");
  compare(scratch, from, want, "read");
}

static void do_direct_read(void) {
  if (direct_fd < 0) return;
  uint64_t from, length;
  choose_range(&from, &length, max_bytes);
  from &= ~(uint64_t)(PAGE - 1);
  length = (length + PAGE - 1) & ~(uint64_t)(PAGE - 1);
  note("direct read %llu +%llu", (unsigned long long)from, (unsigned long long)length);
  ssize_t got = pread(direct_fd, scratch, length, (off_t)from);
  uint64_t want = from >= model_size ? 0 : model_size - from < length ? model_size - from : length;
  if (got < 0 || (uint64_t)got != want) fail("length of a direct read");
  compare(scratch, from, want, "direct read");
}

static void do_truncate(void) {
  uint64_t size = below(3) == 0 ? below(max_bytes) : below(model_size + 1);
  note("truncate %llu to %llu", (unsigned long long)model_size, (unsigned long long)size);
  if ((below(2) ? ftruncate(fd, (off_t)size) : truncate(path, (off_t)size)) != 0) fail("truncate");
  if (size > model_size) grow_model(size);
  model_size = size;
}

static void do_fallocate(int mode, const char *name) {
  uint64_t from, length;
  choose_range(&from, &length, max_bytes);
  note("%s %llu +%llu", name, (unsigned long long)from, (unsigned long long)length);
  if (fallocate(fd, mode, (off_t)from, (off_t)length) != 0) {
    if (errno == EOPNOTSUPP) return;
    fail(name);
  }
  if (!(mode & FALLOC_FL_KEEP_SIZE)) grow_model(from + length);
  if (!(mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) || from >= model_size) return;
  uint64_t end = from + length < model_size ? from + length : model_size;
  memset(model + from, 0, end - from);
}

static void do_map(int writing) {
  if (model_size == 0) return;
  uint64_t from, length;
  choose_range(&from, &length, model_size);
  note("mapped %s %llu +%llu", writing ? "write" : "read", (unsigned long long)from,
       (unsigned long long)length);
  uint64_t start = from & ~(uint64_t)(PAGE - 1);
  uint64_t size = from - start + length;
  int protection = PROT_READ | (writing ? PROT_WRITE : 0);
  uint8_t *view = mmap(NULL, size, protection, MAP_SHARED, fd, (off_t)start);
  if (view == MAP_FAILED) fail("mmap");
  if (writing) {
    fill_scratch(length);
    memcpy(view + (from - start), scratch, length);
    memcpy(model + from, scratch, length);
    if (below(3) == 0 && msync(view, size, MS_SYNC) != 0) fail("msync");
  } else {
    compare(view + (from - start), from, length, "mapped read");
  }
  munmap(view, size);
}

static void do_copy(void) {
  if (model_size < 2) return;
  uint64_t from, length, to;
  choose_range(&from, &length, model_size);
  to = below(max_bytes - length);
  uint64_t distance = from > to ? from - to : to - from;
  if (distance < length) return;
  note("copy %llu +%llu to %llu", (unsigned long long)from, (unsigned long long)length,
       (unsigned long long)to);
  off_t in = (off_t)from, out = (off_t)to;
  ssize_t done = copy_file_range(fd, &in, fd, &out, length, 0);
  if (done < 0) {
    if (errno == EOPNOTSUPP || errno == EXDEV) return;
    fail("copy_file_range");
  }
  memcpy(scratch, model + from, (size_t)done);
  if (done == 0) return;
  grow_model(to + (uint64_t)done);
  memcpy(model + to, scratch, (size_t)done);
}

static void do_seek(void) {
  if (model_size == 0) return;
  uint64_t from = below(model_size);
  note("seek from %llu", (unsigned long long)from);
  off_t data = lseek(fd, (off_t)from, SEEK_DATA);
  if (data < 0 && errno != ENXIO) fail("SEEK_DATA");
  uint64_t end = data < 0 ? model_size : (uint64_t)data;
  for (uint64_t i = from; i < end && i < model_size; i++)
    if (model[i] != 0) fail("SEEK_DATA skipped data");
  off_t hole = lseek(fd, (off_t)from, SEEK_HOLE);
  if (hole < (off_t)from || (uint64_t)hole > model_size) fail("SEEK_HOLE");
}

static void reopen(void) {
  note("close and open");
  if (fd >= 0 && close(fd) != 0) fail("close");
  fd = open(path, O_RDWR | O_CREAT, 0644);
  if (fd < 0) fail("open");
  if (direct_fd >= 0) close(direct_fd);
  direct_fd = open(path, O_RDONLY | O_DIRECT);
}

static void check_size(void) {
  struct stat found;
  if (fstat(fd, &found) != 0 || (uint64_t)found.st_size != model_size) {
    fprintf(stderr, "size %lld, expected %llu\n", (long long)found.st_size,
            (unsigned long long)model_size);
    fail("size");
  }
}

static void step(void) {
  switch (below(20)) {
  case 0: case 1: case 2: case 3: case 4: do_write(); break;
  case 5: case 6: case 7: do_read(); break;
  case 8: do_truncate(); break;
  case 9: do_fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, "punch"); break;
  case 10: do_fallocate(FALLOC_FL_ZERO_RANGE | (below(2) ? FALLOC_FL_KEEP_SIZE : 0), "zero"); break;
  case 11: do_fallocate(below(2) ? FALLOC_FL_KEEP_SIZE : 0, "allocate"); break;
  case 12: case 13: do_map(1); break;
  case 14: do_map(0); break;
  case 15: do_copy(); break;
  case 16: do_append(); break;
  case 17: do_direct_read(); break;
  case 18: do_seek(); break;
  default:
    if (below(4) == 0) reopen();
    else if (below(3) == 0) {
      note("fsync");
      if (fsync(fd) != 0) fail("fsync");
    }
  }
  check_size();
  operations++;
}

int main(int argc, char **argv) {
  if (argc != 5) {
    fprintf(stderr, "exercise FILE SEED SECONDS MAXBYTES\n");
    return 2;
  }
  path = argv[1];
  state = strtoull(argv[2], NULL, 10) * 2654435761u + 88172645463325252ull;
  max_bytes = strtoull(argv[4], NULL, 10);
  model = calloc(1, max_bytes + PAGE);
  scratch = aligned_alloc(PAGE, ((max_bytes + PAGE) / PAGE + 1) * PAGE);
  if (model == NULL || scratch == NULL) return 2;
  fd = -1;
  reopen();
  time_t end = time(NULL) + atoi(argv[3]);
  while (time(NULL) < end) step();
  reopen();
  if (pread(fd, scratch, max_bytes, 0) != (ssize_t)model_size) fail("length at the end");
  compare(scratch, 0, model_size, "content at the end");
  printf("%llu operations\n", (unsigned long long)operations);
  return 0;
}
