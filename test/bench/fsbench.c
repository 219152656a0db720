/*
 * The tight loops of the benchmark, in C so that the loop costs nothing: "fsbench WHAT ARGS". Prints
 * seconds (or, where it says so, microseconds at a percentile) as one number per line.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MIB (1 << 20)

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what) {
  fprintf(stderr, "fsbench: %s: %s\n", what, strerror(errno));
  exit(1);
}

static uint64_t state = 88172645463325252ull;

static uint64_t next_random(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

static void fill(uint8_t *bytes, size_t length) {
  for (size_t i = 0; i + 8 <= length; i += 8) {
    uint64_t word = next_random();
    memcpy(bytes + i, &word, 8);
  }
}

static void name_of(char *path, size_t size, const char *dir, long i) {
  snprintf(path, size, "%s/f%06ld", dir, i);
}

static void create_one(const char *path, const uint8_t *data, size_t length) {
  int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0644);
  if (fd < 0) die(path);
  if (write(fd, data, length) != (ssize_t)length) die("write");
  if (close(fd) != 0) die("close");
}

/* create DIR COUNT BYTES: create, write, close each. */
static void create_all(const char *dir, long count, size_t bytes) {
  uint8_t *data = malloc(bytes + 8);
  char path[4096];
  fill(data, bytes + 8);
  double began = now();
  for (long i = 0; i < count; i++) {
    name_of(path, sizeof path, dir, i);
    create_one(path, data, bytes);
  }
  printf("%.6f\n", now() - began);
}

/* unlink DIR COUNT. */
static void unlink_all(const char *dir, long count) {
  char path[4096];
  double began = now();
  for (long i = 0; i < count; i++) {
    name_of(path, sizeof path, dir, i);
    if (unlink(path) != 0) die(path);
  }
  printf("%.6f\n", now() - began);
}

/* stat DIR COUNT ROUNDS: the files in an order that is not the directory's. */
static void stat_all(const char *dir, long count, long rounds) {
  char path[4096];
  struct stat found;
  double began = now();
  for (long r = 0; r < rounds; r++)
    for (long i = 0; i < count; i++) {
      name_of(path, sizeof path, dir, (i * 7919) % count);
      if (stat(path, &found) != 0) die(path);
    }
  printf("%.6f\n", now() - began);
}

/* reread DIR COUNT ROUNDS: open, read whole, close each. */
static void read_all(const char *dir, long count, long rounds) {
  static uint8_t data[65536];
  char path[4096];
  double began = now();
  for (long r = 0; r < rounds; r++)
    for (long i = 0; i < count; i++) {
      name_of(path, sizeof path, dir, i);
      int fd = open(path, O_RDONLY);
      if (fd < 0) die(path);
      while (read(fd, data, sizeof data) > 0) continue;
      close(fd);
    }
  printf("%.6f\n", now() - began);
}

/* list DIR: readdir and lstat of each entry, as ls -l does. */
static void list(const char *dir) {
  double began = now();
  DIR *stream = opendir(dir);
  if (stream == NULL) die(dir);
  struct dirent *entry;
  struct stat found;
  while ((entry = readdir(stream)) != NULL)
    if (fstatat(dirfd(stream), entry->d_name, &found, AT_SYMLINK_NOFOLLOW) != 0) die("lstat");
  closedir(stream);
  printf("%.6f\n", now() - began);
}

/* write FILE BYTES: sequential, 1 MiB at a time, until close has returned. */
static void write_file(const char *file, uint64_t bytes) {
  uint8_t *data = malloc(MIB);
  fill(data, MIB);
  double began = now();
  int fd = open(file, O_CREAT | O_TRUNC | O_WRONLY, 0644);
  if (fd < 0) die(file);
  for (uint64_t done = 0; done < bytes; done += MIB) {
    memcpy(data, &done, sizeof done);
    if (write(fd, data, MIB) != MIB) die("write");
  }
  if (close(fd) != 0) die("close");
  printf("%.6f\n", now() - began);
}

/* read FILE: sequential, 1 MiB at a time. */
static void read_file(const char *file) {
  uint8_t *data = malloc(MIB);
  double began = now();
  int fd = open(file, O_RDONLY);
  if (fd < 0) die(file);
  ssize_t got;
  while ((got = read(fd, data, MIB)) > 0) continue;
  if (got < 0) die("read");
  close(fd);
  printf("%.6f\n", now() - began);
}

/* random FILE COUNT: 4 KiB reads of pages that this file system's cache does not hold. */
static void random_reads(const char *file, long count) {
  uint8_t data[4096];
  int fd = open(file, O_RDONLY);
  struct stat found;
  if (fd < 0 || fstat(fd, &found) != 0) die(file);
  posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
  uint64_t pages = (uint64_t)found.st_size / sizeof data;
  double began = now();
  for (long i = 0; i < count; i++) {
    off_t at = (off_t)(next_random() % pages * sizeof data);
    if (pread(fd, data, sizeof data, at) != sizeof data) die("read");
  }
  printf("%.6f\n", now() - began);
}

/* overwrite FILE COUNT: 4 KiB somewhere in the middle, then fsync; the median in seconds. */
static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static void overwrite(const char *file, long count) {
  uint8_t data[4096];
  double *times = calloc((size_t)count, sizeof *times);
  int fd = open(file, O_RDWR);
  struct stat found;
  if (fd < 0 || fstat(fd, &found) != 0) die(file);
  uint64_t pages = (uint64_t)found.st_size / sizeof data;
  for (long i = 0; i < count; i++) {
    fill(data, sizeof data);
    double began = now();
    if (pwrite(fd, data, sizeof data, (off_t)(next_random() % pages * sizeof data)) < 0)
      die("write");
    if (fsync(fd) != 0) die("fsync");
    times[i] = now() - began;
  }
  qsort(times, (size_t)count, sizeof *times, by_value);
  printf("%.6f\n", times[count / 2]);
}

/* latency DIR SECONDS: creates and stats one after the other; p99 of each, in microseconds. */
static void latency(const char *dir, double seconds) {
  size_t limit = 2000000, creates = 0, stats = 0;
  double *create_times = calloc(limit, sizeof(double)), *stat_times = calloc(limit, sizeof(double));
  char path[4096];
  uint8_t data[1024];
  struct statx found;
  fill(data, sizeof data);
  double end = now() + seconds;
  for (long i = 0; now() < end && creates < limit; i++) {
    name_of(path, sizeof path, dir, i);
    double began = now();
    create_one(path, data, sizeof data);
    create_times[creates++] = now() - began;
    name_of(path, sizeof path, dir, i / 2);
    began = now();
    /* Forced: the kernel asks the file system although it has the answer. */
    if (statx(AT_FDCWD, path, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &found) != 0) die("statx");
    stat_times[stats++] = now() - began;
    usleep(200);
  }
  if (creates == 0) die("no operation");
  qsort(create_times, creates, sizeof(double), by_value);
  qsort(stat_times, stats, sizeof(double), by_value);
  printf("%.1f\n%.1f\n%zu\n", create_times[creates * 99 / 100] * 1e6,
         stat_times[stats * 99 / 100] * 1e6, creates);
}

/* rename A B: one rename. */
static void rename_one(const char *from, const char *to) {
  double began = now();
  if (rename(from, to) != 0) die("rename");
  printf("%.6f\n", now() - began);
}

int main(int argc, char **argv) {
  const char *what = argc > 2 ? argv[1] : "";
  const char *path = argc > 2 ? argv[2] : "";
  long a = argc > 3 ? atol(argv[3]) : 0;
  long b = argc > 4 ? atol(argv[4]) : 0;
  if (strcmp(what, "create") == 0) create_all(path, a, (size_t)b);
  else if (strcmp(what, "unlink") == 0) unlink_all(path, a);
  else if (strcmp(what, "stat") == 0) stat_all(path, a, b);
  else if (strcmp(what, "reread") == 0) read_all(path, a, b);
  else if (strcmp(what, "list") == 0) list(path);
  else if (strcmp(what, "write") == 0) write_file(path, (uint64_t)a);
  else if (strcmp(what, "read") == 0) read_file(path);
  else if (strcmp(what, "random") == 0) random_reads(path, a);
  else if (strcmp(what, "overwrite") == 0) overwrite(path, a);
  else if (strcmp(what, "latency") == 0) latency(path, (double)a);
  else if (strcmp(what, "rename") == 0 && argc > 3) rename_one(path, argv[3]);
  else return fprintf(stderr, "fsbench WHAT ARGS; see fsbench.c\n"), 2;
  return 0;
}
